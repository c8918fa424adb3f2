"""Events in memory end with their process."""

import asyncio

import pytest
from tests.consumer_harness import raw

from evmon._transports.base import DeadLetter, Redelivery
from evmon._transports.memory import MemoryTransport


async def test_unhandled_events_are_logged_when_the_transport_closes(
    make_harness, caplog
):
    harness = make_harness()
    await harness.send(raw("a"), raw("a"))
    await harness.transport.close()

    assert (
        "dropped 2 events that were not handled: memory:// does not outlive the process"
        in caplog.text
    )


async def test_a_full_queue_refuses_new_events():
    t = MemoryTransport("shop", capacity=2)
    results = await t.publish([b"a", b"b", b"c"])

    assert [True, True, False] == [result is None for result in results]
    assert [b"a", b"b"] == [received.raw for received in await t.read(10, 0.01)]


async def test_a_scheduled_entry_is_delivered_after_its_delay(clock):
    t = MemoryTransport("shop", clock)
    await t.publish([b"a"])
    (received,) = await t.read(1, 0.01)
    await t.settle(received, [Redelivery(0.05, 2, ("h",))])
    reading = asyncio.create_task(t.read(1, 0.01))
    await clock.advance(0.04)
    assert not reading.done()
    await clock.advance(0.01)

    (later,) = await reading
    assert (b"a", 2, ("h",)) == (later.raw, later.attempts, later.handlers)


@pytest.mark.parametrize("end", ["ack", "dead"])
async def test_a_finished_entry_is_not_pending(end):
    t = MemoryTransport("shop")
    await t.publish([b"a"])
    (received,) = await t.read(1, 0.01)
    assert 1 == t.pending
    if end == "ack":
        t.ack(received)
    else:
        await t.settle(received, [DeadLetter("rejected")])

    assert 0 == t.pending == t.length
    assert (end == "dead") == bool(t.dead_letters)
