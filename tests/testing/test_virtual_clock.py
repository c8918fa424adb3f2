"""With a `VirtualClock`, what a bus waits for takes no time."""

import asyncio
import time

import pytest
from tests.waiting import eventually

from evmon import (
    ConfigError,
    ConsumerConfig,
    EventBus,
    MonitorConfig,
    PublishError,
    PublishRetry,
    RetryLater,
    RetryPolicy,
    TransportError,
    event_handler,
)
from evmon.testing import VirtualClock, dead_letters, settled

HOUR = 3600.0
YEAR = 31_536_000.0


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture(autouse=True)
def _takes_no_time():
    started = time.monotonic()
    yield
    assert 20 > time.monotonic() - started


@pytest.mark.parametrize("delay", [0.5, HOUR, YEAR])
async def test_a_retry_takes_no_time(clock, delay):
    calls = []

    async def later(event):
        calls.append(clock.monotonic())
        if len(calls) < 3:
            raise RetryLater(delay)

    bus = EventBus(clock=clock)
    bus.add_handler("a", later)
    async with bus:
        await bus.publish("a")
        await settled(bus)

    assert delay <= calls[1] - calls[0] < delay + 20
    assert delay <= calls[2] - calls[1] < delay + 20


async def test_a_retry_does_not_come_before_its_time(clock):
    calls = []

    async def later(event):
        calls.append(event.id)
        raise RetryLater(HOUR)

    bus = EventBus(clock=clock)
    bus.add_handler("a", later)
    async with bus:
        await bus.publish("a")
        await clock.advance(HOUR - 60)
        assert 1 == len(calls)
        await clock.advance(60)
        assert 2 == len(calls)
        await clock.advance(2 * HOUR)
        assert 4 == len(calls)


async def test_what_is_due_happens_in_order(clock):
    calls = []

    async def later(event, delivery=None):
        calls.append(event.data)
        if calls.count(event.data) < 3:
            raise RetryLater(event.data)

    bus = EventBus(clock=clock)
    bus.add_handler("a", later)
    async with bus:
        await bus.publish_many([("a", 1000), ("a", 600)])
        await clock.advance(2100)

    assert [1000, 600, 600, 1000, 600, 1000] == calls


async def test_retries_of_a_policy_have_their_whole_delay(clock):
    async def fail(event):
        raise OSError("away")

    bus = EventBus(clock=clock, retry=RetryPolicy(base_delay=60, max_delay=HOUR))
    bus.add_handler("a", fail)
    async with bus:
        await bus.publish("a")
        await clock.advance(60 + 120 + 239)
        assert () == dead_letters(bus)
        await clock.advance(1)
        (letter,) = dead_letters(bus)

    assert 4 == letter.attempts


async def test_the_timeout_of_a_handler_follows_the_clock(clock):
    async def hang(event):
        await asyncio.Event().wait()

    bus = EventBus(
        clock=clock,
        retry=RetryPolicy(max_retries=0),
        consumer=ConsumerConfig(handler_timeout=HOUR),
    )
    bus.add_handler("a", hang)
    async with bus:
        await bus.publish("a")
        await clock.advance(HOUR)
        (letter,) = dead_letters(bus)

    assert "TimeoutError" in letter.error_type


async def test_settled_lets_a_running_handler_take_its_time(clock):
    async def slow(event):
        await asyncio.sleep(0.05)

    bus = EventBus(
        clock=clock,
        retry=RetryPolicy(max_retries=0),
        consumer=ConsumerConfig(handler_timeout=HOUR),
    )
    bus.add_handler("a", slow)
    async with bus:
        await bus.publish("a")
        await settled(bus)

        assert () == dead_letters(bus)


async def test_the_drain_follows_the_clock(clock):
    async def hang(event):
        await asyncio.Event().wait()

    bus = EventBus(clock=clock, consumer=ConsumerConfig(drain_timeout=HOUR))
    bus.add_handler("a", hang)
    await bus.start()
    await bus.publish("a")
    await clock.advance(0)
    stopping = asyncio.create_task(bus.stop())
    await clock.advance(HOUR - 60)
    assert not stopping.done()
    await clock.advance(60)

    await asyncio.wait_for(stopping, 10)


async def test_retries_of_publishing_and_its_timeouts_follow_the_clock(
    clock, monkeypatch
):
    async def fail(*_):
        raise TransportError("away")

    retry = PublishRetry(base_delay=60, max_delay=60, deadline=HOUR)
    async with EventBus(clock=clock, publish_retry=retry) as bus:
        monkeypatch.setattr(bus._runtime.transport, "publish", fail)
        publishing = [
            asyncio.create_task(bus.publish("a", timeout=50)),
            asyncio.create_task(bus.publish_many([("a", 1)], timeout=70)),
            asyncio.create_task(bus.publish("a")),
        ]
        for seconds, done in ((49, 0), (1, 1), (20, 2), (HOUR, 3)):
            await clock.advance(seconds)
            assert done == sum(task.done() for task in publishing)
        errors = await asyncio.gather(*publishing, return_exceptions=True)

    assert "within 50 s" in str(errors[0])
    assert "within 70 s" in str(errors[1][0])
    assert isinstance(errors[2], PublishError)


async def test_events_that_wait_for_a_batch_are_sent_when_the_clock_is_moved(clock):
    calls = []

    async def handle(event):
        calls.append(event.id)

    bus = EventBus(clock=clock)
    bus.add_handler("a", handle)
    async with bus:
        bus.publish_nowait("a")
        await clock.advance(1)

        assert 1 == len(calls)


async def test_the_pause_of_the_circuit_breaker_takes_no_time(clock):
    async def fail(event):
        raise OSError("away")

    bus = EventBus(
        clock=clock,
        retry=RetryPolicy(max_retries=0),
        consumer=ConsumerConfig(breaker_calls=1, breaker_pause=60, max_concurrency=1),
    )
    bus.add_handler("a", fail)
    async with bus:
        await bus.publish_many([("a", n) for n in range(3)])
        await settled(bus)

        assert 3 == len(dead_letters(bus))


async def test_a_provider_that_is_retried_takes_no_time(clock):
    class Away:
        failures = 2

        def __init__(self):
            if Away.failures:
                Away.failures -= 1
                raise OSError("away")

        @event_handler("a")
        async def handle(self, event): ...

    bus = EventBus(clock=clock, retry=RetryPolicy(base_delay=HOUR, max_delay=HOUR))
    bus.register(Away)
    async with bus:
        await settled(bus)

        assert 1 == len(bus.handlers)


async def test_an_event_has_the_time_of_the_clock(clock):
    async with EventBus(clock=clock) as bus:
        before = await bus.publish("a")
        await clock.advance(HOUR)
        after = await bus.publish("a")

    assert HOUR <= (after.time - before.time).total_seconds() < HOUR + 20


async def test_the_monitor_makes_up_for_missed_checks_by_one(clock, monkeypatch):
    checks = []
    config = MonitorConfig(check_interval_seconds=15)
    async with EventBus(clock=clock, monitor=config) as bus:
        monkeypatch.setattr(bus.monitor, "check", lambda: checks.append(1))
        await clock.advance(YEAR)
        await eventually(lambda: checks)  # a check runs in a thread

    assert [1] == checks


async def test_without_being_moved_it_runs_like_the_clock_of_the_system(clock):
    assert 1 > abs(clock.time() - time.time())
    await clock.sleep(0.01)
    await clock.interval(0.01)


async def test_a_cancelled_wait_leaves_no_timer(clock):
    waiting = asyncio.create_task(clock.sleep(HOUR))
    await clock.advance(1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    with pytest.raises(ConfigError, match="must be seconds, 0 or more"):
        await clock.advance(-1)

    assert {} == clock._timers


async def test_a_bus_that_has_stopped_leaves_no_timer(clock):
    async def later(event):
        raise RetryLater(HOUR)

    bus = EventBus(clock=clock, consumer=ConsumerConfig(handler_timeout=60))
    bus.add_handler("a", later)
    async with bus:
        await bus.publish("a", timeout=60)
        await bus.publish_many([("a", 1)], timeout=60)
        await clock.advance(0)

    assert {} == clock._timers
