"""A bus that stops finishes or releases its work, on every transport."""

import asyncio

import pytest
from tests.waiting import eventually

from evmon import (
    BusStateError,
    ConsumerConfig,
    Event,
    RetryPolicy,
)
from evmon._telemetry import instruments as i


async def test_a_handler_may_publish_while_the_bus_drains(measured_bus):
    started, seen = asyncio.Event(), []
    s = measured_bus()

    async def forward(event: Event) -> None:
        started.set()
        await asyncio.sleep(0.1)
        await s.bus.publish("b", event.data)

    s.bus.add_handler("a", forward)
    s.bus.add_handler("b", seen.append)
    async with s as bus:
        await bus.publish("a", 7)
        await started.wait()

    assert 0 == s.all_dead
    with pytest.raises(BusStateError):
        await bus.publish("a")


@pytest.mark.parametrize("max_retries", [0, 3])
async def test_a_cancelled_stop_does_not_count_as_a_failure_of_a_handler(
    measured_bus, max_retries
):
    started = []

    async def slow(event: Event) -> None:
        started.append(event)
        await asyncio.sleep(60)

    s = measured_bus(retry=RetryPolicy(max_retries=max_retries))
    s.bus.add_handler("a", slow)
    await s.bus.start()
    await s.bus.publish_many([("a", n) for n in range(50)])
    await eventually(lambda: len(started) == 50)
    stopping = asyncio.create_task(s.bus.stop())
    await asyncio.sleep(0.05)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping

    assert 0 == s.total(i.RETRY_EXHAUSTED) == s.total(i.RETRY_ATTEMPTS) == s.all_dead


async def test_stop_waits_for_running_handlers(measured_bus):
    started, done = [], []

    async def slow(event: Event) -> None:
        started.append(event.data)
        await asyncio.sleep(0.1)
        done.append(event.data)

    s = measured_bus()
    s.bus.add_handler("a", slow)
    async with s as bus:
        await bus.publish_many([("a", n) for n in range(10)])
        await eventually(lambda: len(started) == 10)

    assert list(range(10)) == sorted(done)
    with pytest.raises(BusStateError):
        await s.bus.publish("a")


async def test_stop_releases_events_after_the_drain_timeout(measured_bus, caplog):
    hanging = asyncio.Event()

    async def hang(event: Event) -> None:
        hanging.set()
        await asyncio.sleep(60)

    s = measured_bus(consumer=ConsumerConfig(drain_timeout=0.05))
    s.bus.add_handler("a", hang)
    async with s as bus:
        await bus.publish("a")
        await asyncio.wait_for(hanging.wait(), 5)

    assert "released 1 events for redelivery" in caplog.text
