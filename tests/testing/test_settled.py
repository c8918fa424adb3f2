"""`settled` waits for everything, and otherwise says what is left and why."""

import asyncio
import time

import pytest

from evmon import (
    BusStateError,
    ConsumerConfig,
    DiscoveryConfig,
    EventBus,
    RetryLater,
    RetryPolicy,
    event_handler,
)
from evmon.testing import VirtualClock, dead_letters, settled

QUICK = ConsumerConfig(drain_timeout=0)


async def in_an_hour(event):
    raise RetryLater(3600)


async def at_once(event): ...


async def test_it_waits_for_retries():
    calls = []

    async def flaky(event):
        calls.append(event.id)
        if len(calls) < 3:
            raise RetryLater(0.02)

    bus = EventBus()
    bus.add_handler("a", flaky)
    async with bus:
        await bus.publish("a")
        await settled(bus)
        assert 3 == len(calls)


async def test_it_waits_for_providers():
    async def handle(event): ...

    bus = EventBus()
    async with bus:
        bus.register(handle)
        await settled(bus)
        assert 0 == bus.discovery.pending


async def test_it_waits_for_published_events_and_running_handlers():
    done = []

    def in_a_thread(event):
        time.sleep(0.05)
        done.append(event.type)

    bus = EventBus(clock=VirtualClock())
    bus.add_handler("a", in_a_thread)
    async with bus:
        bus.publish_nowait("a")
        await settled(bus)
        assert ["a"] == done


async def left_on(bus, *, within=0.05):
    """What `settled` says is left."""
    with pytest.raises(TimeoutError) as caught:
        await settled(bus, within)
    return str(caught.value)


async def test_a_bus_without_handlers_is_named():
    async with EventBus(consumer=QUICK) as bus:
        await bus.publish("order.created")
        await bus.publish("order.paid")

        assert (
            "not settled after 0.05 s: 2 events (order.created, order.paid) not read: the"
            " bus has no handlers, register() them before you publish"
        ) == await left_on(bus)


async def test_a_retry_is_named_with_its_delay_and_a_way_not_to_wait():
    bus = EventBus(consumer=QUICK)
    bus.add_handler("a", in_an_hour)
    async with bus:
        await bus.publish("a")

        message = await left_on(bus)
        assert "1 event (a) waiting for a retry, the next in 3.6e+03 s: use" in message
        assert (
            "use EventBus(clock=VirtualClock()) or RetryPolicy(base_delay=0)" in message
        )


async def test_a_retry_in_the_process_is_named():
    async def soon(event):
        raise RetryLater(0.9)

    bus = EventBus(consumer=QUICK)
    bus.add_handler("a", soon)
    async with bus:
        await bus.publish("a")
        message = await left_on(bus)

    assert "1 event (a) waiting for a retry: use EventBus(clock=" in message


async def test_handlers_that_do_not_return_are_named():
    async def hang(event):
        await asyncio.Event().wait()

    bus = EventBus(consumer=ConsumerConfig(max_concurrency=2, drain_timeout=0))
    bus.add_handler("a", hang)
    async with bus:
        await bus.publish_many([("a", n) for n in range(3)])

        message = await left_on(bus)
        assert "2 events (a) being handled, the handlers have not returned" in message
        assert "1 event (a) not read: 2 events in flight (max_concurrency)" in message


async def test_the_pause_of_the_circuit_breaker_is_named():
    async def fail(event):
        raise OSError("away")

    bus = EventBus(
        retry=RetryPolicy(max_retries=0),
        consumer=ConsumerConfig(breaker_calls=1, max_concurrency=1, drain_timeout=0),
    )
    bus.add_handler("a", fail)
    async with bus:
        await bus.publish_many([("a", n) for n in range(3)])

        message = await left_on(bus)
        assert "not read: the circuit breaker pauses reading for " in message


async def test_a_provider_that_failed_is_named_with_its_error():
    @event_handler("a")
    async def impossible(event, other): ...

    bus = EventBus(consumer=QUICK, discovery=DiscoveryConfig(strict=False))
    bus.register(impossible)
    async with bus:
        await bus.publish("a")
        without_handlers = await left_on(bus)
        bus.add_handler("b", at_once)
        with_another = await left_on(bus)

    assert "the bus has no handlers" in without_handlers
    assert "discovery failed: tests.testing.test_settled" in without_handlers
    assert "1 event (a) without a handler until discovery has succeeded" in with_another
    assert "impossible" in with_another


async def test_a_provider_that_is_retried_is_named():
    class Away:
        def __init__(self):
            raise OSError("away")

        @event_handler("a")
        async def handle(self, event): ...

    bus = EventBus(retry=RetryPolicy(base_delay=5, jitter="none"))
    bus.register(Away)
    async with bus:
        message = await left_on(bus)

    assert "discovery has not finished: " in message
    assert "Away" in message


async def test_events_that_are_not_sent_are_named(monkeypatch):
    bus = EventBus(consumer=QUICK)
    bus.add_handler("a", at_once)
    async with bus:

        async def hang(*_):
            await asyncio.Event().wait()

        monkeypatch.setattr(bus._runtime.transport, "publish", hang)
        bus.publish_nowait("a")

        assert "1 event published and not sent" in await left_on(bus)


async def test_an_event_that_no_handler_matches_is_a_dead_letter():
    bus = EventBus()
    bus.add_handler("order.paid", at_once)
    async with bus:
        await bus.publish("order.created")
        await settled(bus)
        (letter,) = dead_letters(bus)

    assert ("unknown_type", "no handler for order.created") == (
        letter.reason,
        letter.error_message,
    )


async def test_a_bus_that_was_not_started_is_named():
    with pytest.raises(BusStateError, match="not running: use 'async with bus'"):
        await settled(EventBus())


async def test_after_the_bus_has_stopped_what_was_left_is_named_at_once():
    bus = EventBus(consumer=QUICK)
    bus.add_handler("a", in_an_hour)
    async with bus:
        await bus.publish("a")
    with pytest.raises(BusStateError, match=r"the bus has stopped.*1 event \(a\)"):
        await settled(bus, 60)


async def test_after_the_bus_has_stopped_nothing_may_be_left():
    async with EventBus() as bus:
        await settled(bus)
    await settled(bus)


async def test_another_transport_is_refused(server):
    async with EventBus(transport=server.url) as bus:
        with pytest.raises(BusStateError, match="needs a bus on memory://"):
            await settled(bus)
