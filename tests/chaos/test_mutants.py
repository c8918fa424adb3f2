"""The checker reports a problem for each mutant of evmon, and none without."""

import pytest
from chaos.mutants import MUTANTS, apply
from chaos.runs.t14 import small

pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.timeout(120)]


@pytest.mark.parametrize("lost_replies", [False, True])
async def test_evmon_without_mutation_has_no_problems(lost_replies):
    verdict = await small(1, "", lost_replies=lost_replies)

    assert [] == verdict.problems


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_each_mutant_is_a_problem_for_the_checker(mutant):
    verdict = await small(1, mutant, lost_replies=mutant == "client_retries")

    assert [] != verdict.problems


def test_a_mutant_of_code_that_is_gone_is_an_error(monkeypatch):
    monkeypatch.delattr("evmon._transports.redis.reader.Reader._reclaim")

    with pytest.raises(AttributeError, match="out of date"):
        apply("no_reclaim")
