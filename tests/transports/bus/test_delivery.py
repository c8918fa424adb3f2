"""Events reach their handlers, on every transport."""

import asyncio
import threading

import pytest
from tests.waiting import eventually

from evmon import (
    ConsumerConfig,
    Event,
    Thresholds,
)
from evmon._telemetry import instruments as i


@pytest.mark.parametrize(
    ("pattern", "reached"),
    [
        ("order.created", ["order.created"]),
        ("order.*", ["order.created", "order.shipped"]),
        ("order.**", ["order.created", "order.shipped", "order.item.added"]),
    ],
)
async def test_an_event_reaches_the_handlers_whose_pattern_matches(
    measured_bus, pattern, reached
):
    seen, rest = [], []
    s = measured_bus()
    s.bus.add_handler(pattern, lambda e: seen.append(e.type))
    s.bus.add_handler("**", lambda e: rest.append(e.type))
    async with s as bus:
        sent = ["order.created", "order.shipped", "order.item.added", "user.left"]
        for event_type in sent:
            await bus.publish(event_type)
        await eventually(lambda: len(rest) == 4)
        await s.until_idle()

    assert sorted(reached) == sorted(seen)
    assert sorted(sent) == sorted(rest)


async def test_a_delivered_event_equals_the_published_one(measured_bus):
    seen = []
    s = measured_bus()
    s.bus.add_handler("order.created", seen.append)
    async with s as bus:
        sent = await bus.publish(
            "order.created",
            {"text": "Grüße \u2028 \x00", "none": None, "list": [1, 2.5, True]},
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        await eventually(lambda: seen)

    assert [sent] == seen


async def test_a_batch_handler_gets_every_event_once(measured_bus):
    batches = []

    async def store(events: list[Event[int]]):
        batches.append([event.data for event in events])

    s = measured_bus()
    s.bus.add_handler("a", store)
    async with s as bus:
        await bus.publish_many(("a", n) for n in range(500))
        await eventually(lambda: sum(map(len, batches)) == 500)
        await s.until_idle()

    assert list(range(500)) == sorted(n for batch in batches for n in batch)
    assert 50 > len(batches)
    assert 0 == s.all_dead


async def test_every_handler_of_an_event_is_called_once(measured_bus):
    seen = []
    s = measured_bus()
    for name in "abc":
        s.bus.add_handler("a", lambda e, name=name: seen.append(name))
    async with s as bus:
        await bus.publish("a")
        await eventually(lambda: len(seen) == 3)
        await s.until_idle()

    assert ["a", "b", "c"] == sorted(seen)


async def test_sync_handlers_run_in_threads_and_async_ones_in_the_loop(measured_bus):
    threads = {}

    def in_thread(event: Event) -> None:
        threads["sync"] = threading.current_thread()

    async def in_loop(event: Event) -> None:
        threads["async"] = threading.current_thread()

    s = measured_bus()
    s.bus.add_handler("a", in_thread)
    s.bus.add_handler("a", in_loop)
    async with s as bus:
        await bus.publish("a")
        await eventually(lambda: len(threads) == 2)

    assert threads["async"] is threading.main_thread()
    assert threads["sync"] is not threading.main_thread()


async def test_max_concurrency_limits_the_events_handled_at_once(measured_bus):
    running, most, done = 0, 0, 0

    async def handle(event: Event) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        done += 1

    s = measured_bus(consumer=ConsumerConfig(max_concurrency=3))
    s.bus.add_handler("a", handle)
    async with s as bus:
        await bus.publish_many([("a", n) for n in range(50)])
        await eventually(lambda: done == 50)

    assert 3 == most


async def test_sent_and_consumed_events_are_counted_exactly(measured_bus):
    seen = []
    # The process of the tests may exceed the default limit.
    s = measured_bus(thresholds=Thresholds(memory_warning_mb=10_000))
    s.bus.add_handler("order.created", seen.append)
    s.bus.add_handler("order.*", seen.append)
    async with s as bus:
        await bus.publish("order.created")
        await bus.publish_many([("order.created", n) for n in range(100)])
        await bus.publish("order.shipped")
        bus.publish_nowait("order.shipped")
        await bus.publish("nobody.cares")
        await s.until_dead("unknown_type")
        await eventually(lambda: len(seen) == 204)
        await s.until_idle()

        system = bus._runtime.transport.system
        for instrument in (i.SENT_MESSAGES, i.CONSUMED_MESSAGES):
            assert 104 == s.total(instrument)
            by = {i.SYSTEM: system, i.DESTINATION: "shop"}
            assert 104 == s.total(instrument, **by)
            assert 101 == s.total(instrument, **{i.EVENT_TYPE: "order.created"})
            assert 1 == s.total(instrument, **{i.EVENT_TYPE: "_unknown"})
        assert 204 == s.calls()
        assert 0 == s.total(i.PUBLISHER_BUFFER_SIZE)
        assert 0 == s.total(i.EVENTS_LOST)
