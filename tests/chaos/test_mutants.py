"""The checker sees what it is there for: a harness that is always green proves nothing."""

import pytest
from chaos.mutants import MUTANTS, apply
from chaos.runs.t14 import small

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.mark.parametrize("lost_replies", [False, True])
async def test_evmon_as_it_is_stays_green(lost_replies):
    verdict = await small(1, "", lost_replies=lost_replies)

    assert [] == verdict.problems


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_a_mutant_turns_the_checker_red(mutant):
    verdict = await small(1, mutant, lost_replies=mutant == "client_retries")

    assert [] != verdict.problems


def test_a_mutant_that_does_not_fit_any_more_is_an_error(monkeypatch):
    monkeypatch.delattr("evmon._transports.redis.reader.Reader._reclaim")

    with pytest.raises(AttributeError, match="out of date"):
        apply("no_reclaim")
