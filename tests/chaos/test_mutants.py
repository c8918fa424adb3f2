"""The checker must detect each mutant, and accept unmodified evmon."""

import pytest
from chaos.mutants import MUTANTS, apply
from chaos.runs.detect_mutants import check_mutant
from chaos.runs.freeze_processes import freeze_all
from chaos.runs.slow_link import carry

pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.timeout(120)]


@pytest.mark.parametrize("lost_replies", [False, True])
async def test_unmodified_evmon_passes(lost_replies):
    verdict = await check_mutant(1, "", lost_replies=lost_replies)

    assert [] == verdict.problems


@pytest.mark.parametrize(
    "mutant", sorted(MUTANTS.keys() - {"unfenced_acks", "batches_by_count"})
)
async def test_the_checker_detects_a_mutant(mutant):
    verdict = await check_mutant(1, mutant, lost_replies=mutant == "client_retries")

    assert [] != verdict.problems


async def test_frozen_consumers_show_that_acknowledgements_are_not_fenced():
    assert [] != (await freeze_all(1, 4, "unfenced_acks")).problems


async def test_a_slow_link_shows_that_batches_are_bounded_by_count_alone():
    assert [] != (await carry(1, 60, "batches_by_count")).problems


def test_a_mutant_whose_target_is_gone_is_an_error(monkeypatch):
    monkeypatch.delattr("evmon._transports.redis.reader.Reader._reclaim")

    with pytest.raises(AttributeError, match="update the mutant"):
        apply("no_reclaim")
