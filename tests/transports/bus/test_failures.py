"""Failed events are retried and dead-lettered, on every transport."""

import asyncio

import pytest
from tests.transports.bus.measured_bus import QUICK
from tests.waiting import eventually

from evmon import (
    ConsumerConfig,
    Delivery,
    Event,
    Reject,
    RetryLater,
    RetryPolicy,
    event_handler,
)
from evmon._telemetry import instruments as i


async def test_a_failing_handler_is_retried_by_its_policy_until_it_succeeds(
    measured_bus,
):
    attempts = []

    async def flaky(event: Event, delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt < 3:
            raise ConnectionError("down")

    s = measured_bus(retry=RetryPolicy(max_retries=0))
    s.bus.add_handler("a", flaky, retry=QUICK)
    async with s as bus:
        await bus.publish("a")
        await eventually(lambda: len(attempts) == 3)
        await s.until_idle()
        assert 0 == s.all_dead
        assert 2 == s.total(i.RETRY_ATTEMPTS, **{i.RETRY_COMPONENT: "handler"})
        assert 2 == s.calls(**{i.ERROR_TYPE: "ConnectionError"})

    assert [1, 2, 3] == attempts


async def test_a_retry_longer_than_a_second_keeps_the_attempts(measured_bus):
    attempts = []

    async def flaky(event: Event, delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt < 3:
            raise ConnectionError("down")

    policy = RetryPolicy(max_retries=2, base_delay=1.01, multiplier=1, jitter="none")
    s = measured_bus(retry=policy)
    s.bus.add_handler("a", flaky)
    s.bus.add_handler("a", lambda e: attempts.append("other"))
    async with s as bus:
        await bus.publish("a")
        await eventually(lambda: attempts.count("other") and 3 in attempts)
        await s.until_idle()
        assert 0 == s.all_dead

    assert [1, 2, 3] == [a for a in attempts if a != "other"]
    assert 1 == attempts.count("other")


async def test_exhausted_retries_end_in_a_dead_letter(measured_bus):
    attempts = []

    async def fail(event: Event, delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        raise ValueError("never")

    s = measured_bus()
    s.bus.add_handler("a", fail)
    async with s as bus:
        await bus.publish("a")
        await s.until_dead("handler_error")
        await s.until_idle()
        assert 1 == s.total(i.RETRY_EXHAUSTED, **{i.RETRY_COMPONENT: "handler"})

    assert [1, 2, 3] == attempts


async def test_a_failing_handler_does_not_affect_another(measured_bus):
    seen = []

    async def fail(event: Event) -> None:
        raise ValueError("never")

    s = measured_bus()
    s.bus.add_handler("a", fail)
    s.bus.add_handler("a", seen.append)
    async with s as bus:
        await bus.publish("a")
        await s.until_dead("handler_error")

    assert 1 == len(seen)


async def test_a_rejected_event_is_dead_lettered_at_once(measured_bus):
    calls = []

    async def reject(event: Event) -> None:
        calls.append(event)
        raise Reject("cancelled")

    s = measured_bus()
    s.bus.add_handler("a", reject)
    async with s as bus:
        await bus.publish("a")
        await s.until_dead("rejected")

    assert 1 == len(calls)


@pytest.mark.parametrize("delay", [0, 0.01, 1.05])
async def test_retry_later_delays_the_next_attempt(measured_bus, delay):
    attempts = []

    async def later(event: Event, delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            raise RetryLater(delay)

    s = measured_bus()
    s.bus.add_handler("a", later)
    async with s as bus:
        await bus.publish("a")
        await eventually(lambda: attempts == [1, 2])
        await s.until_idle()
        assert 0 == s.all_dead


async def test_retry_later_at_every_attempt_ends_in_a_dead_letter(measured_bus):
    attempts = []

    async def later(event: Event) -> None:
        attempts.append(event)
        raise RetryLater(0)

    s = measured_bus()
    s.bus.add_handler("a", later)
    async with s as bus:
        await bus.publish("a")
        await s.until_dead("handler_error")

    assert 3 == len(attempts)


async def test_an_event_without_a_handler_is_dead_lettered(measured_bus):
    seen = []
    s = measured_bus()
    s.bus.add_handler("a", seen.append)
    async with s as bus:
        await bus.publish_many([("b", None), ("a", None), ("b", None)])
        await s.until_dead("unknown_type", 2)
        await eventually(lambda: seen)

    assert 1 == len(seen)


async def test_data_of_the_wrong_type_is_dead_lettered(measured_bus):
    seen = []

    async def handle(data: int) -> None:
        seen.append(data)

    s = measured_bus()
    s.bus.add_handler("a", handle)
    async with s as bus:
        await bus.publish("a", "seven")
        await bus.publish("a", 7)
        await s.until_dead("invalid_data")
        await eventually(lambda: seen == [7])


async def test_handlers_of_the_same_name_are_retried_separately(measured_bus):
    calls = []

    def make(name, delay):
        async def handle(event: Event, delivery: Delivery) -> None:
            calls.append(name)
            if delay and delivery.attempt == 1:
                raise RetryLater(delay)

        return handle

    s = measured_bus()
    s.bus.add_handler("a", make("well", 0))
    s.bus.add_handler("a", make("again", 1.01))
    async with s as bus:
        await bus.publish("a")
        await eventually(lambda: len(calls) == 3, within=10)
        await s.until_idle()

    assert ["again", "again", "well"] == sorted(calls)


async def test_a_retry_finds_its_handler_after_it_was_registered_again(measured_bus):
    attempts = []

    class Orders:
        @event_handler("a")
        async def later(self, event: Event, delivery: Delivery) -> None:
            attempts.append(delivery.attempt)
            if delivery.attempt == 1:
                raise RetryLater(1.05)

    s, orders = measured_bus(), Orders()
    s.bus.register(orders)
    async with s as bus:
        await bus.publish("a")
        await eventually(lambda: attempts == [1])
        bus.register(orders)
        await eventually(lambda: attempts == [1, 2])
        await s.until_idle()
        assert 0 == s.all_dead


async def test_ignore_unknown_skips_event_types_without_a_handler(measured_bus):
    seen = []
    s = measured_bus(consumer=ConsumerConfig(ignore_unknown=True))
    s.bus.add_handler("order.*", seen.append)
    async with s as bus:
        await bus.publish("user.left")
        await bus.publish("order.created")
        await eventually(lambda: seen)
        await s.until_idle()

    assert 0 == s.all_dead


async def test_a_handler_is_cancelled_after_its_timeout(measured_bus):
    cancelled = []

    async def hang(event: Event) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(event)
            raise

    s = measured_bus(consumer=ConsumerConfig(handler_timeout=0.02))
    s.bus.add_handler("a", hang)
    async with s as bus:
        await bus.publish("a")
        await s.until_dead("handler_error")
        assert 3 == s.calls(**{i.ERROR_TYPE: "TimeoutError"})

    assert 3 == len(cancelled)
