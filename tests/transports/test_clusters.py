"""Transports in a cluster of several nodes, whose slots move and whose nodes fail."""

import asyncio
import contextlib
import itertools
from functools import partial

import pytest
from chaos.cluster import Cluster
from tests.transports.redis.entries import DEAD, REASON, RETRY, STREAM, read_all
from tests.waiting import eventually

from evmon import TransportError
from evmon._transports.base import Redelivery

pytestmark = [pytest.mark.slow, pytest.mark.serial]

NOW = partial(asyncio.sleep, 0)


@pytest.fixture
async def make_cluster(tmp_path):
    started = []

    async def make(*replicas):
        cluster = Cluster(tmp_path, replicas, key=STREAM)
        started.append(cluster)
        await cluster.start()
        return cluster

    yield make
    for cluster in started:
        cluster.stop(9)


@pytest.fixture
def make_in(open_redis):
    return lambda cluster, **config: open_redis(
        cluster.url, **{"timeout": 2, "lease": 30, **config}
    )


async def publish_until_accepted(transport, ticket, within=15):
    async def publish():
        accepted = False
        while not accepted:
            with contextlib.suppress(TransportError):
                await transport.publish([b"x"], ["x"], ticket)
                accepted = True
            await asyncio.sleep(0.05)

    await asyncio.wait_for(publish(), within)


async def test_a_moved_slot_is_followed(make_cluster, make_in):
    cluster = await make_cluster(0, 0)
    t = await make_in(cluster)
    for number in range(1, 4):
        before = cluster.owner()
        await cluster.move_slot(sorted, NOW)
        assert before is not cluster.owner()
        # The scripts are missing there, too.
        await t.publish([b"a", b"b", b"c"])
        acked, dead, later = await read_all(t, 3)
        t.ack(acked)
        await t.flush()
        assert await t.settle(dead, [REASON])
        assert await t.settle(later, [Redelivery(60, 1, ())])

        assert 3 * number == cluster.execute("XLEN", STREAM)
        assert number == cluster.execute("XLEN", DEAD)
        assert number == cluster.execute("ZCARD", RETRY)
        assert 0 == cluster.execute("XPENDING", STREAM, "shop")["pending"]


async def test_commands_with_one_key_reach_it_while_the_slot_moves(
    make_cluster, make_in
):
    cluster = await make_cluster(0, 0)
    t = await make_in(cluster)
    await t.publish([b"a"])
    seen = []

    async def read_and_write():
        seen.append(await t._client.call("XADD", STREAM, "*", "event", b"b"))
        seen.append(await t._client.pipe([("XLEN", STREAM), ("ZCARD", RETRY)]))

    await cluster.move_slot(sorted, read_and_write)
    moved = len(seen) // 2

    assert [[n + 2, 0] for n in range(moved)] == seen[1::2]
    assert 1 + moved == cluster.execute("XLEN", STREAM)


async def test_a_script_waits_until_its_keys_are_on_one_node(make_cluster, make_in):
    cluster = await make_cluster(0, 0)
    t = await make_in(cluster)
    await t.publish([b"a"], ["a"], 1)
    publishing = []

    async def publish():
        if not publishing:
            publishing.append(asyncio.create_task(t.publish([b"b"], ["b"], 2)))
            await asyncio.sleep(0.2)
            assert not publishing[0].done()

    await cluster.move_slot(sorted, publish)
    await asyncio.wait_for(publishing[0], 2)

    assert 2 == cluster.execute("XLEN", STREAM)


async def test_a_script_that_cannot_run_for_long_is_an_error_and_has_not_run(
    make_cluster, make_in
):
    cluster = await make_cluster(0, 0)
    t = await make_in(cluster, timeout=0.3)
    await t.publish([b"a"], ["a"], 1)

    failures = []

    async def publish():
        if not failures:
            with pytest.raises(TransportError) as failure:
                await t.publish([b"b"], ["b"], 2)
            failures.append(failure)
            assert "" == t.problem

    await cluster.move_slot(sorted, publish)
    await t.publish([b"b"], ["b"], 2)

    assert 2 == cluster.execute("XLEN", STREAM)


async def test_min_replicas_waits_for_replicas_of_the_node_that_has_the_slot(
    make_cluster, make_in
):
    cluster = await make_cluster(1, 1)
    t = await make_in(cluster, min_replicas=1, timeout=0.5)
    tickets = itertools.count(1)
    for _ in range(2):
        await publish_until_accepted(t, next(tickets))
        (replica,) = cluster.replicas_of(cluster.owner())
        replica.freeze()
        for _ in range(3):
            with pytest.raises(TransportError, match="0 of 1 replicas"):
                await t.publish([b"b"], ["b"], next(tickets))
        replica.unfreeze()
        await publish_until_accepted(t, next(tickets))
        await cluster.move_slot(sorted, NOW)


async def test_publishing_goes_on_after_the_node_with_the_slot_was_killed(
    make_cluster, make_in
):
    cluster = await make_cluster(2, 0, 0)
    t = await make_in(cluster, min_replicas=1)
    await t.publish([b"a"], ["a"], 1)
    owner = cluster.owner()
    await asyncio.to_thread(owner.stop, 9)

    await publish_until_accepted(t, 2)
    assert 2 == cluster.execute("XLEN", STREAM)
    await eventually(lambda: "" == t.problem)
