"""Due retries are moved to their streams without delay, however many there are."""

import time

import msgspec
import pytest
from tests.transports.redis.entries import ENTRIES, RETRY, STREAM, an_event
from tests.waiting import eventually

from evmon import EventBus
from evmon._transports.redis.reader import PROMOTE_COUNT


def schedule_due(client, count):
    """Schedule retries that are due already."""
    packed = msgspec.msgpack.encode([STREAM, ["event", an_event().decode()]])
    for start in range(0, count, 10_000):
        names = [f"retry-{n}" for n in range(start, min(start + 10_000, count))]
        client.zadd(RETRY, dict.fromkeys(names, 1))
        client.hset(ENTRIES, mapping=dict.fromkeys(names, packed))


async def test_a_read_looks_again_while_more_retries_are_due(make, client):
    t = await make()
    await t.read(1, 0.01)
    schedule_due(client, 5 * PROMOTE_COUNT)
    t._reader.retry_scheduled()
    t._reader._next_promotion = 0.0

    entries = []
    for _ in range(5):
        entries += await t.read(PROMOTE_COUNT, 60)

    assert 5 * PROMOTE_COUNT == len(entries)


async def test_maintenance_promotes_all_that_is_due(make, client):
    t = await make()
    schedule_due(client, 3 * PROMOTE_COUNT + 1)

    await t._maintenance.run_once()

    assert 0 == client.zcard(RETRY)
    assert 3 * PROMOTE_COUNT + 1 == client.xlen(STREAM)


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.timeout(120)
async def test_100_000_due_retries_are_handled_in_less_than_20_seconds(server, client):
    bus = EventBus("shop", server.url, auto_discovery=False)
    handled = 0

    async def handle(_):
        nonlocal handled
        handled += 1

    bus.add_handler("a", handle)
    schedule_due(client, 100_000)
    started = time.monotonic()
    async with bus:
        await eventually(lambda: handled >= 100_000, within=100)

    assert 20 > time.monotonic() - started
