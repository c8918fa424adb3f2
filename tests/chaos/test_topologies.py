"""Scaled-down runs with clusters and sentinels, and the mutants that they detect."""

import pytest
from chaos.runs.fail_over_cluster import fail_over
from chaos.runs.freeze_primary import freeze
from chaos.runs.move_slots import ORDERS, move

pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.timeout(180)]


def shown(result):
    return [f"{problem}; {result.figures}" for problem in result.problems]


@pytest.mark.parametrize("order", [*ORDERS, "at once"])
async def test_nothing_is_lost_while_a_slot_moves(order):
    assert [] == shown(await move(1, order, moves=1))


async def test_nothing_is_lost_while_a_slot_moves_to_a_node_with_a_replica():
    assert [] == shown(await move(1, "stream last", min_replicas=1, moves=1))


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_no_event_that_a_replica_has_is_lost_when_a_node_fails(fault):
    result = await fail_over(1, fault, min_replicas=1)

    assert [] == shown(result)
    # Counted by the cluster: 1 s of silence, and then the vote.
    assert 15 > result.figures["s without publishing"]


@pytest.mark.parametrize("min_replicas", [0, 1])
async def test_nothing_is_lost_when_a_frozen_primary_comes_back(min_replicas):
    result = await freeze(1, min_replicas=min_replicas)

    assert [] == shown(result)
    assert 15 > result.figures["s without publishing"]


async def test_a_script_with_an_undeclared_key_is_detected():
    result = await move(1, "stream last", moves=2, mutant="undeclared_stream")

    assert [] != result.problems


async def test_wait_on_another_node_is_detected():
    result = await fail_over(1, "killed", min_replicas=1, mutant="wait_elsewhere")

    assert [] != result.problems
