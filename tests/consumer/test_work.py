"""Attempts, delay and outcome belong to each handler of an event."""

import asyncio

import pytest
from tests.consumer_harness import as_received, raw
from tests.waiting import eventually

from evmon import Delivery, Reject, RetryLater, RetryPolicy
from evmon._consumer.work import Work
from evmon._events import decode
from evmon._transports.base import Redelivery


@pytest.fixture
def work():
    received = as_received(raw())
    return Work(received, decode(received.raw), ())


def test_every_handler_is_retried_after_its_own_delay_and_attempts(work):
    work.retry("audit", 3, 15.0)
    work.retry("ship", 1, 12.0)

    assert (
        Redelivery(5.0, 3, ("audit",)),
        Redelivery(2.0, 1, ("ship",)),
    ) == work.settlement(10.0).outcomes


def test_an_overdue_retry_is_redelivered_at_once(work):
    work.retry("audit", 1, 9.0)

    assert (Redelivery(0.0, 1, ("audit",)),) == work.settlement(10.0).outcomes


def test_every_handler_that_gives_up_has_a_dead_letter_of_its_own(work):
    work.give_up("audit", 1, Reject("no"))
    work.give_up("ship", 4, KeyError("street"))

    assert [("audit",), ("ship",)] == [o.handlers for o in work.settlement(0).outcomes]
    assert ["rejected", "handler_error"] == [
        o.reason for o in work.settlement(0).outcomes
    ]
    assert [1, 4] == [o.attempts for o in work.settlement(0).outcomes]


def test_a_retry_that_began_is_not_scheduled_again(work):
    work.retry("audit", 1, 9.0)
    work.take_retry("audit")

    assert work.succeeded


async def test_handlers_of_an_event_are_retried_each_after_its_own_delay(make_harness):
    harness = make_harness()

    async def early(event, delivery: Delivery):
        if delivery.attempt == 1:
            raise RetryLater(1.5)

    async def late(event):
        raise RetryLater(3600)

    harness.on("a", early)
    harness.on("a", late, RetryPolicy(max_retries=1))
    async with harness:
        await harness.send(raw("a"))
        await eventually(lambda: harness.transport.length == 2)
        await eventually(lambda: harness.transport.length == 1)
        await eventually(lambda: not harness.transport.pending)

    assert 1 == harness.transport.length
    assert [] == harness.reasons


async def test_the_attempts_of_a_handler_are_not_used_up_by_another(make_harness):
    attempts = []

    async def later(event, delivery: Delivery):
        attempts.append(delivery.attempt)
        if delivery.attempt < 3:
            raise RetryLater(1.01)

    async def fail(event):
        raise ConnectionError("down")

    harness = make_harness()
    harness.on("a", later, RetryPolicy(max_retries=2))
    harness.on("a", fail, RetryPolicy(max_retries=8, base_delay=0.001))
    async with harness:
        await harness.send(raw("a"))
        await eventually(lambda: len(attempts) == 3)
        await harness.until_settled()

    assert [1, 2, 3] == attempts
    assert [9] == [entry.letter.attempts for entry in harness.transport.dead_letters]


async def test_handlers_that_fail_differently_have_separate_dead_letters(make_harness):
    harness = make_harness()

    async def reject(event):
        raise Reject("no")

    async def fail(event):
        raise KeyError("street")

    harness.on("a", reject)
    harness.on("a", fail, RetryPolicy(max_retries=1, base_delay=0.001))
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    letters = [entry.letter for entry in harness.transport.dead_letters]
    assert [("rejected", 1), ("handler_error", 2)] == [
        (letter.reason, letter.attempts) for letter in letters
    ]
    assert ["no", "'street'"] == [letter.error_message for letter in letters]


@pytest.fixture
def beside_slow(make_harness):
    """A handler that asks for a retry, beside one that runs until it is released."""

    def beside_slow(delay):
        attempts, release = [], asyncio.Event()

        async def later(event, delivery: Delivery):
            attempts.append(delivery.attempt)
            if delivery.attempt == 1:
                raise RetryLater(delay)

        async def slow(event):
            await release.wait()

        harness = make_harness()
        harness.on("a", slow)
        harness.on("a", later)
        return harness, attempts, release

    return beside_slow


async def test_a_retry_is_not_late_while_another_handler_is_still_running(beside_slow):
    harness, attempts, release = beside_slow(1.01)
    async with harness:
        await harness.send(raw("a"))
        await eventually(lambda: attempts == [1, 2])
        release.set()
        await harness.until_settled()

    assert [1, 2] == attempts
    assert [] == harness.reasons


async def test_a_retry_waits_on_the_transport_once_the_other_handler_is_done(
    beside_slow,
):
    harness, attempts, release = beside_slow(1.5)
    async with harness:
        await harness.send(raw("a"))
        await eventually(lambda: attempts == [1])
        release.set()
        await eventually(lambda: harness.transport.length == 1)
        assert 0 == harness.transport.pending
        await harness.until_settled()

    assert [1, 2] == attempts
