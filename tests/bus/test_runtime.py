"""The parts of a bus start and stop in order, and release all resources."""

import asyncio
import gc
import threading
import time
import weakref

import pytest
from tests.shop import Orders
from tests.waiting import eventually, let_tasks_run

from evmon import (
    Batching,
    BusStateError,
    ConsumerConfig,
    Event,
    EventBus,
    MetricsConfig,
    PublishError,
    RetryPolicy,
    Thresholds,
    event_handler,
)
from evmon._discovery.queue import EXPECTED_WITHIN
from evmon._events import encode
from evmon.testing import make_event


class Called:
    """Its handlers are called on the event loop, in a thread, and with many events."""

    def __init__(self, seen):
        self.seen = seen

    @event_handler("one")
    async def one(self, event):
        self.seen.append("one")

    @event_handler("thread")
    def thread(self, event):
        self.seen.append("thread")

    @event_handler("many")
    async def many(self, events: list[Event]):
        self.seen.append("many")


@pytest.fixture
def seen_by():
    return []


async def test_stopping_handles_all_published_events(bus, orders):
    async with bus:
        await bus.publish_many([("order.created", n) for n in range(100)])
        bus.publish_nowait("order.shipped", 1)

    assert 201 == len(orders.seen)


async def test_stopping_releases_every_task_timer_thread_and_reference(orders):
    bus = EventBus(metrics=MetricsConfig(port=0))
    bus.register(orders)
    reference = weakref.ref(bus)
    async with bus:
        await bus.publish("order.created")
        assert bus.metrics_url.startswith("http://127.0.0.1:")
    del bus
    await let_tasks_run()
    gc.collect()

    assert reference() is None

    assert 1 == len(asyncio.all_tasks())
    assert not [t for t in asyncio.get_running_loop()._scheduled if not t.cancelled()]


async def test_an_unregistered_provider_is_freed(bus):
    async with bus:
        provider = Orders()
        bus.register(provider)
        await eventually(lambda: len(bus.handlers) == 4)
        reference = weakref.ref(provider)
        bus.unregister(provider)
        del provider
        gc.collect()

        assert reference() is None


async def test_an_unregistered_provider_is_freed_after_it_was_called(bus, seen_by):
    async with bus:
        provider = Called(seen_by)
        bus.register(provider)
        await eventually(lambda: len(bus.handlers) == 5)
        for name in ("one", "thread", "many"):
            await bus.publish(name)
        await eventually(lambda: len(seen_by) == 3)
        reference = weakref.ref(provider)
        bus.unregister(provider)
        del provider
        await let_tasks_run()
        gc.collect()

        assert reference() is None


async def test_stopped_buses_are_freed():
    parts = []
    for _ in range(20):
        bus = EventBus()
        bus.register(Orders())
        async with bus:
            await bus.publish("order.created")
            runtime = bus._runtime
            parts += map(weakref.ref, (bus, runtime, runtime.telemetry._provider))
        del bus, runtime
    await let_tasks_run()

    def living():
        gc.collect()
        return [part() for part in parts if part() is not None]

    await eventually(lambda: not living())  # a thread may still return


async def test_a_stop_leaves_behind_what_cannot_be_closed(bus, monkeypatch, caplog):
    monkeypatch.setattr("evmon._bus.runtime.CLOSE_WITHIN", 0.05)
    may_end = threading.Event()
    async with bus:
        monkeypatch.setattr(bus._runtime.telemetry, "shutdown", may_end.wait)
        stopping = asyncio.create_task(bus.stop())
        try:
            await asyncio.wait_for(stopping, 5)
            assert ["telemetry"] == bus._unfinished()
        finally:
            may_end.set()

    assert "telemetry is not closed after 0.05 s: left behind" in caplog.text


async def test_the_bus_drains_when_the_body_of_async_with_raises(bus, orders):
    with pytest.raises(ZeroDivisionError):
        async with bus:
            await bus.publish("order.created")
            1 / 0  # noqa: B018

    assert 2 == len(orders.seen)


async def test_cancelling_while_draining_ends_the_bus_at_once():
    started = asyncio.Event()

    async def hang(event):
        started.set()
        await asyncio.sleep(60)

    bus = EventBus(consumer=ConsumerConfig(drain_timeout=60))
    bus.add_handler("a", hang)

    async def body():
        async with bus:
            await bus.publish("a")
            await asyncio.sleep(60)

    task = asyncio.create_task(body())
    await started.wait()
    task.cancel()
    await let_tasks_run()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await let_tasks_run()

    assert 1 == len(asyncio.all_tasks())


async def test_the_bus_can_be_started_and_stopped_in_different_tasks(bus, orders):
    await asyncio.create_task(bus.start())
    await bus.publish("order.created")
    await asyncio.create_task(bus.stop())

    assert 2 == len(orders.seen)


async def test_waiting_publishers_are_released_when_the_bus_fails(monkeypatch):
    bus = EventBus(service="shop", batching=Batching(max_size=1, max_buffered=2))
    await bus.start()
    monkeypatch.setattr(bus._runtime.transport, "publish", _broken)
    waiting = [asyncio.create_task(bus.publish("order.created")) for _ in range(4)]
    await asyncio.wait_for(bus.wait(), 5)
    results = await asyncio.wait_for(
        asyncio.gather(*waiting, return_exceptions=True), 5
    )
    with pytest.raises(BusStateError, match="accepts no more events"):
        await bus.publish("order.created")
    with pytest.raises(ZeroDivisionError):
        await bus.stop()

    assert {PublishError, BusStateError} >= {type(result) for result in results}


async def test_the_error_of_a_failed_part_is_logged_and_raised_by_stop(
    bus, monkeypatch, caplog
):
    await bus.start()
    monkeypatch.setattr("evmon._publisher.Publisher._send", _broken)
    bus.publish_nowait("order.created")
    await asyncio.wait_for(bus.wait(), 5)
    with pytest.raises(ZeroDivisionError):
        await bus.stop()

    assert "the bus failed: ZeroDivisionError" in caplog.text


PARTS = [
    ("publisher", "evmon._publisher.Publisher.run"),
    ("consumer", "evmon._consumer.consumer.Consumer.run"),
    ("discovery", "evmon._discovery.discovery.Discovery.run"),
    ("monitor", "evmon._monitor.Monitor.run"),
    ("transport", "evmon._transports.memory.MemoryTransport.run"),
]


async def _failure_of(bus):
    """What a bus raises whose parts do not run until it is stopped."""

    async def run():
        await bus.start()
        await bus.wait()
        await bus.stop()

    with pytest.raises(BusStateError) as caught:
        await asyncio.wait_for(run(), 3)
    return str(caught.value)


@pytest.mark.parametrize(("part", "run"), PARTS)
async def test_a_part_that_returns_before_the_stop_makes_the_bus_fail(
    bus, monkeypatch, part, run
):
    async def return_at_once(_):
        await asyncio.sleep(0)

    monkeypatch.setattr(run, return_at_once)

    assert f"the {part} ended before the bus was stopped" == await _failure_of(bus)


@pytest.mark.parametrize(("part", "run"), PARTS)
async def test_a_part_that_is_cancelled_from_outside_makes_the_bus_fail(
    bus, monkeypatch, part, run
):
    async def cancel_itself(_):
        asyncio.current_task().cancel()
        await asyncio.sleep(60)

    monkeypatch.setattr(run, cancel_itself)

    assert f"the {part} was cancelled from outside" == await _failure_of(bus)


@pytest.mark.parametrize(("part", "run"), PARTS[:2])
async def test_a_part_that_is_cancelled_while_draining_makes_the_stop_fail(
    bus, monkeypatch, part, run
):
    async def cancel_itself_when_stopped(_):
        await bus._runtime._stop.wait()
        asyncio.current_task().cancel()
        await asyncio.sleep(60)

    monkeypatch.setattr(run, cancel_itself_when_stopped)
    await bus.start()
    with pytest.raises(BusStateError, match=f"the {part} was cancelled from outside"):
        await asyncio.wait_for(bus.stop(), 5)


async def test_a_bus_that_is_cancelled_from_outside_says_so(bus, caplog):
    await bus.start()
    bus._runtime._task.cancel()
    await asyncio.wait_for(bus.wait(), 5)
    with pytest.raises(BusStateError, match="was cancelled before it was stopped"):
        await bus.stop()

    assert "the bus was cancelled before it was stopped" in caplog.text


async def _broken(*_):
    raise ZeroDivisionError


async def test_preview_shows_what_would_be_discovered_and_starts_nothing(bus):
    class Needy:
        def __init__(self, database): ...

        @event_handler("b")
        def handle(self, event): ...

    bus.add_handler("a", print)
    bus.register(Needy)
    handlers, discovery = await bus.preview()

    assert ["a", "order.created", "order.*"] == [h.pattern for h in handlers]
    assert 1 == len(discovery.failures)
    assert 1 == len(bus.handlers)
    assert 1 == len(asyncio.all_tasks())


async def test_a_second_stop_waits_for_the_first(bus):
    release = asyncio.Event()

    async def slow(event):
        await release.wait()

    bus.add_handler("slow", slow)
    await bus.start()
    await bus.publish("slow")
    await let_tasks_run()
    first, second = (asyncio.create_task(bus.stop()) for _ in range(2))
    await let_tasks_run()
    assert not second.done()
    release.set()
    await asyncio.gather(first, second)

    with pytest.raises(BusStateError, match="has stopped"):
        bus.register(Orders())


def test_handlers_can_be_removed_after_the_event_loop_has_closed(bus, orders):
    async def main():
        async with bus:
            pass

    asyncio.run(main())
    bus.add_handler("late", print)

    assert 2 == bus.unregister(orders)


async def test_events_without_a_handler_during_stop_are_left_to_other_processes(
    server, client
):
    class Never(Orders):
        def __init__(self):
            raise ConnectionError("not yet")

    policy = RetryPolicy(base_delay=20, max_delay=20, jitter="none")
    bus = EventBus(service="shop", transport=server.url, retry=policy)
    bus.add_handler("other", print)
    bus.register(Never)
    await bus.start()
    stopping = asyncio.create_task(bus.stop())
    await asyncio.sleep(0.02)
    client.xadd("evmon:{shop}:events", {"event": encode(make_event("order.created"))})
    await stopping

    assert 0 == client.xlen("evmon:{shop}:dead")


async def test_a_hanging_provider_delays_unknown_events_for_a_limited_time(clock):
    hang = threading.Event()

    class Hangs(Orders):
        def __init__(self):
            hang.wait(10)

    bus = EventBus(clock=clock)
    bus.add_handler("other", print)
    async with bus:
        bus.register(Hangs)
        assert bus.discovery.expects_more
        clock.now += EXPECTED_WITHIN
        assert not bus.discovery.expects_more
        assert 1 == bus.discovery.pending
        hang.set()


async def test_a_provider_slower_than_the_threshold_is_logged(caplog):
    class Slow(Orders):
        def __init__(self):
            super().__init__()
            time.sleep(0.1)

    limits = Thresholds(processing_warning_ms=50)
    bus = EventBus(thresholds=limits)
    bus.register(Slow)
    async with bus:
        assert "Slow took 0.1 s" in caplog.text


async def test_a_stopping_bus_refuses_providers(bus):
    refused = []

    async def register(event):
        try:
            bus.register(Orders())
        except BusStateError as error:
            refused.append(str(error))

    release = asyncio.Event()

    async def handle(event):
        await release.wait()
        await register(event)

    bus.add_handler("late", handle)
    await bus.start()
    await bus.publish("late")
    await let_tasks_run()
    stopping = asyncio.create_task(bus.stop())
    await asyncio.sleep(0)
    release.set()
    await stopping

    assert 1 == len(refused)
    assert 0 == bus.discovery.pending
