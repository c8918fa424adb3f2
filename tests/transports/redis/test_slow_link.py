"""Batches that are too large for a slow link arrive in parts."""

import asyncio
import random

import pytest
from chaos.proxy import Proxy
from tests.transports.redis.entries import STREAM, pending

RATE = 400_000
"""Bytes per second of the link."""
EVENT = b"x" * 20_000
TIMEOUT = 0.3
"""Seconds: six events of 20 kB arrive in that time."""


@pytest.fixture
async def slow(server):
    """URL of the server behind a slow link."""
    proxy = Proxy(server.port, random.Random(1))
    await proxy.start()
    proxy.faults.rate = RATE
    yield f"redis://127.0.0.1:{proxy.port}/0"
    await proxy.stop()


async def publish_all(transport, batch):
    """Publish as the publisher does: again what is missing, under the same ticket."""
    missing = batch
    for _ in range(20):
        try:
            results = await transport.publish(missing, ["a"] * len(missing), 1)
        except Exception:
            continue
        missing = [e for e, error in zip(missing, results, strict=True) if error]
        if not missing:
            return
    raise AssertionError(f"{len(missing)} are missing")


async def test_a_batch_larger_than_the_link_carries_in_time_is_published_once(
    make, slow, client
):
    t = await make(url=slow, timeout=TIMEOUT)
    batch = [b"%05d" % n + EVENT for n in range(40)]

    await publish_all(t, batch)

    await asyncio.sleep(2 * TIMEOUT)  # what the link still carries arrives
    stored = [fields["event"][:5] for _, fields in client.xrange(STREAM)]
    expected = [f"{n:05d}" for n in range(40)]
    assert expected == stored


async def test_a_backlog_of_large_events_is_read_and_acknowledged(make, slow, client):
    await (await make()).publish([EVENT] * 100)
    t = await make(url=slow, timeout=TIMEOUT, lease=30)
    read = failures = 0
    while read < 100:
        try:
            entries = await t.read(100, 0.01)
        except Exception:
            failures += 1
            assert 10 > failures
            continue
        read += len(entries)
        for received in entries:
            t.ack(received)
    await t.flush()

    assert 100 == read
    assert 0 == pending(client)


async def test_an_event_that_takes_longer_than_the_time_out_arrives_while_it_progresses(
    make, slow
):
    await (await make()).publish([b"x" * 2_000_000])
    t = await make(url=slow, timeout=TIMEOUT)

    (received,) = await t.read(100, 0.01)

    assert 2_000_000 == len(received.raw)
