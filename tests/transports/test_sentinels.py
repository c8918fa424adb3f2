"""A primary that sentinels watch freezes, is replaced, and comes back."""

import asyncio
import contextlib
import time
from functools import partial

import pytest
from chaos.sentinels import WatchedPrimary
from tests.transports.redis.entries import DEAD, REASON, STREAM, read_all
from tests.waiting import eventually

from evmon import TransportError

pytestmark = [pytest.mark.slow, pytest.mark.serial]

TIMEOUT = 2.0


@pytest.fixture
async def watched(tmp_path):
    servers = WatchedPrimary(tmp_path)
    try:
        await servers.start()
        yield servers
    finally:
        servers.stop(9)


@pytest.fixture
def make_watched(watched, open_redis):
    return partial(open_redis, watched.url, timeout=TIMEOUT, lease=30)


@pytest.fixture
def replace_primary(watched):
    """Freezes the primary until another one is promoted, and lets it return."""

    async def replace():
        old = watched.primary()
        old.freeze()
        await eventually(lambda: watched.primary() is not old, 15)
        await eventually(lambda: "master" == watched.execute("ROLE")[0], 15)
        old.unfreeze()
        await eventually(lambda: "master" == old.execute("ROLE")[0], 1)
        return old

    return replace


async def test_idle_connections_do_not_talk_to_a_primary_that_came_back(
    watched, make_watched, replace_primary
):
    t = await make_watched()
    await asyncio.gather(*(t.publish([b"before"]) for _ in range(20)))
    old = await replace_primary()
    await asyncio.gather(*(t.publish([b"after"]) for _ in range(60)))

    assert (20, 80) == (old.execute("XLEN", STREAM), watched.execute("XLEN", STREAM))


async def test_what_is_read_from_the_new_primary_is_settled_there(
    watched, make_watched, replace_primary
):
    t = await make_watched()
    await t.publish([b"before"] * 20)
    before = await read_all(t, 20)
    await asyncio.gather(*(t.settle(received, [REASON]) for received in before))
    old = await replace_primary()
    watched.execute("XADD", STREAM, "*", "event", "after")
    entries = []
    while not entries:
        with contextlib.suppress(TransportError):
            entries = await t.read(1, 0.1)
    (received,) = entries

    assert await t.settle(received, [REASON])
    assert (20, 21) == (old.execute("XLEN", DEAD), watched.execute("XLEN", DEAD))


async def test_a_frozen_primary_costs_one_read(watched, make_watched):
    t = await make_watched()
    await t.publish([b"a"])
    await read_all(t, 1)
    await t.read(1, 0.01)
    old = watched.primary()
    old.freeze()
    with pytest.raises(TransportError):
        await t.read(1, 0.5)
    # The sentinels are faster than the read.
    assert watched.primary() is not old
    watched.execute("XADD", STREAM, "*", "event", "b")

    (received,) = await t.read(1, 0.5)
    assert b"b" == received.raw
    old.unfreeze()


async def test_a_frozen_primary_costs_one_publish(watched, make_watched):
    t = await make_watched()
    await asyncio.gather(*(t.publish([b"a"]) for _ in range(20)))
    old = watched.primary()
    old.freeze()
    failed = 0
    while failed < 5:
        try:
            await t.publish([b"b"], ["b"], 1)
            break
        except TransportError:
            failed += 1
            await eventually(lambda: watched.primary() is not old, 15)
    old.unfreeze()

    assert 1 == failed


async def test_calls_go_on_without_sentinels(watched, make_watched):
    t = await make_watched()
    await t.publish([b"a"])
    for sentinel in watched.sentinels:
        sentinel.stop(9)
    await t._clock.sleep(1.1)
    await t.publish([b"b"])

    assert 2 == watched.servers[0].execute("XLEN", STREAM)


async def test_a_frozen_sentinel_delays_nothing(watched, make_watched):
    watched.sentinels[0].freeze()
    t = await make_watched()
    started = time.monotonic()
    await t.publish([b"a"])
    await t._clock.sleep(1.1)
    await t.publish([b"b"])

    assert 1.1 + TIMEOUT / 2 > time.monotonic() - started
