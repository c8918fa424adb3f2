"""Handlers run concurrently; each is retried and fails on its own."""

import asyncio
import threading
import time

import pytest
from tests.consumer_harness import as_received, raw
from tests.waiting import eventually

from evmon import Delivery, Event, Reject, RetryLater, RetryPolicy
from evmon._telemetry import instruments as i


async def test_sync_handlers_run_in_threads_and_do_not_block_the_loop(make_harness):
    threads = []

    def block(event):
        threads.append(threading.current_thread())
        time.sleep(0.1)

    harness = make_harness()
    harness.on("a", block)
    async with harness:
        started = time.monotonic()
        await harness.send(*[raw("a")] * 10)
        await harness.until_settled()

    assert threading.main_thread() not in threads
    assert 0.9 > time.monotonic() - started, "ten at a time, not one by one"


async def test_async_handlers_run_concurrently(make_harness):
    together = asyncio.Event()
    waiting = []

    async def meet(event):
        waiting.append(event)
        if len(waiting) == 5:
            together.set()
        await asyncio.wait_for(together.wait(), 5)

    harness = make_harness()
    harness.on("a", meet)
    async with harness:
        await harness.send(*[raw("a")] * 5)
        await harness.until_settled()

    assert 5 == len(waiting)
    assert [] == harness.reasons


async def test_only_the_failed_handler_is_retried(make_harness, measured):
    calls = []

    async def flaky(event, delivery: Delivery):
        calls.append(delivery.attempt)
        if delivery.attempt < 3:
            raise ConnectionError("down")

    harness = make_harness()
    harness.on("a", flaky)
    harness.on("a", lambda e: calls.append("other"))
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert 1 == calls.count("other")
    assert [1, 2, 3] == [c for c in calls if c != "other"]
    assert [] == harness.reasons
    failed = measured.snapshot.distribution(
        i.PROCESS_DURATION, {"error.type": "ConnectionError"}
    )
    assert 2 == failed.count


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Reject("cancelled"), "rejected"), (ValueError("x"), "handler_error")],
)
async def test_permanent_errors_are_not_retried(make_harness, error, reason):
    calls = []

    async def fail(event):
        calls.append(1)
        raise error

    harness = make_harness()
    harness.on("a", fail, RetryPolicy(max_retries=5, retry_on=(ConnectionError,)))
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert [1] == calls
    assert [reason] == harness.reasons


async def test_decisions_of_a_handler_are_no_errors_in_metrics_and_log(
    make_harness, measured, caplog
):
    caplog.set_level("INFO")
    decisions = iter([RetryLater(0), RetryLater(0), Reject("cancelled\n2026 ERROR")])

    async def decide(event):
        raise next(decisions)

    harness = make_harness()
    harness.on("a", decide, RetryPolicy(max_retries=2))
    async with harness:
        await harness.send(raw("a", event_id="7"))
        await harness.until_settled()

    snapshot = measured.snapshot
    assert 3 == snapshot.distribution(i.PROCESS_DURATION, without=i.ERROR_TYPE).count
    assert 2 == calls_with(snapshot, "retry_later")
    assert 1 == calls_with(snapshot, "rejected")
    assert 0 == measured.total(i.RETRY_ATTEMPTS) + measured.total(i.RETRY_EXHAUSTED)
    assert 1 == measured.total(i.DEAD_LETTERS, **{i.DEAD_LETTER_REASON: "rejected"})
    assert [] == [r.message for r in caplog.records if r.levelname == "ERROR"]
    (rejected,) = [r.message for r in caplog.records if " rejected event" in r.message]
    assert rejected.endswith("rejected event 7 (a, entry 1): cancelled 2026 ERROR")


async def test_a_handler_that_asks_for_more_retries_than_it_has_is_exhausted(
    make_harness, measured
):
    async def later(event):
        raise RetryLater(0)

    harness = make_harness()
    harness.on("a", later, RetryPolicy(max_retries=1))
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert ["handler_error"] == harness.reasons
    assert 2 == calls_with(measured.snapshot, "retry_later")
    assert 1 == measured.total(i.RETRY_EXHAUSTED, **{i.ERROR_TYPE: "RetryLater"})


def calls_with(snapshot, outcome):
    return snapshot.distribution(i.PROCESS_DURATION, {i.OUTCOME: outcome}).count


async def test_long_retry_delays_are_scheduled_by_the_transport(make_harness):
    calls = []

    async def later(event, delivery: Delivery):
        calls.append(delivery.attempt)
        if len(calls) == 1:
            raise RetryLater(1.01)

    harness = make_harness()
    harness.on("a", later)
    harness.on("a", lambda e: calls.append("once"))
    async with harness:
        await harness.send(raw("a"))
        await eventually(lambda: harness.transport.length == 1)
        assert 0 == harness.consumer.in_flight
        await harness.until_settled()

    assert [1, 2] == [c for c in calls if c != "once"]
    assert 1 == calls.count("once")


async def test_one_handler_can_fail_for_good_while_another_is_retried(make_harness):
    calls = []

    async def later(event):
        calls.append("later")
        if calls.count("later") == 1:
            raise RetryLater(1.01)

    async def reject(event):
        raise Reject("no")

    harness = make_harness()
    harness.on("a", later)
    harness.on("a", reject)
    async with harness:
        await harness.send(raw("a"))
        await eventually(lambda: calls.count("later") == 2)
        await harness.until_settled()

    assert ["rejected"] == harness.reasons


async def test_an_async_handler_is_cancelled_at_the_handler_timeout(make_harness):
    async def hang(event):
        await asyncio.sleep(60)

    harness = make_harness(handler_timeout=0.02)
    harness.on("a", hang)
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert ["handler_error"] == harness.reasons
    letter = harness.transport.dead_letters[0].letter
    assert "builtins.TimeoutError" == letter.error_type
    assert "not done within 0.02 s (handler_timeout)" == letter.error_message


async def test_a_sync_handler_beyond_the_timeout_is_logged_and_awaited(
    make_harness, caplog
):
    calls = []

    def slow(event):
        calls.append(event)
        time.sleep(0.15)

    harness = make_harness(handler_timeout=0.05)
    harness.on("a", slow)
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert 1 == len(calls), "not called again meanwhile"
    assert [] == harness.reasons
    assert "a thread cannot be cancelled; make it a coroutine function" in caplog.text


async def test_the_log_has_the_traceback_of_a_failed_handler(make_harness, caplog):
    caplog.set_level("INFO")

    def fail(event):
        raise KeyError("customer")

    harness = make_harness()
    harness.on("a", fail)
    async with harness:
        await harness.send(raw("a", event_id="forged\n2026 ERROR all is lost"))
        await harness.until_settled()

    again = [r for r in caplog.records if "retrying in" in r.message]
    (gave_up,) = [r for r in caplog.records if "gave up" in r.message]
    assert ["INFO", "INFO"] == [r.levelname for r in again]
    assert 'raise KeyError("customer")' in gave_up.exc_text
    assert not [r for r in caplog.records if "\n" in r.message]


@pytest.mark.parametrize("how", ["raise", "cancel"])
async def test_a_handler_that_cancels_its_own_task_affects_no_other(make_harness, how):
    seen = []

    async def cancel_itself(event):
        if how == "cancel":
            asyncio.current_task().cancel()
            await asyncio.sleep(0)
        raise asyncio.CancelledError

    harness = make_harness(max_concurrency=1)
    harness.on("bad", cancel_itself, RetryPolicy(max_retries=0))
    harness.on("good", lambda e: seen.append(e))
    async with harness:
        await harness.send(raw("bad"), raw("good"))
        await harness.until_settled()

    assert ["handler_error"] == harness.reasons
    assert 1 == len(seen)


async def test_delivery_tells_attempt_and_redelivery(make_harness):
    seen = []

    def handle(event, delivery: Delivery):
        seen.append(delivery)

    harness = make_harness()
    harness.on("a", handle)
    async with harness:
        harness.transport._ready.append(as_received(raw("a"), deliveries=2, attempts=1))
        harness.transport.interrupt()
        await harness.until_settled()

    assert [Delivery(attempt=2, redelivered=True)] == seen


async def test_5000_events_are_handled_by_a_few_tasks(make_harness):
    seen = []

    async def handle(event):
        seen.append(event.id)

    harness = make_harness()
    harness.on("a", handle)
    before = len(asyncio.all_tasks())
    async with harness:
        await harness.send(*[raw("a", event_id=str(n)) for n in range(5000)])
        most = 0
        while not harness.settled:
            most = max(most, len(asyncio.all_tasks()))
            await asyncio.sleep(0)

    assert 5000 == len(set(seen))
    assert 4 >= most - before
    assert before == len(asyncio.all_tasks())


async def test_a_sync_wrapper_that_returns_a_coroutine_is_awaited(make_harness):
    seen = []

    async def inner(event):
        seen.append(event)

    harness = make_harness()
    harness.on("a", lambda event: inner(event))
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert 1 == len(seen)


class Panic(BaseException):
    """Not an Exception, as extension modules raise it."""


@pytest.mark.parametrize("error", [SystemExit(3), Panic("lost")])
@pytest.mark.parametrize("kind", ["coroutine", "thread", "many"])
async def test_a_base_exception_of_a_handler_dead_letters_only_its_event(
    make_harness, error, kind
):
    def fail():
        raise error

    async def coroutine(event):
        fail()

    def thread(event):
        fail()

    async def many(events: list[Event]):
        fail()

    harness = make_harness()
    harness.on("a", {"coroutine": coroutine, "thread": thread, "many": many}[kind])
    async with harness:
        await harness.send(raw("a"), raw("a"))
        await harness.until_settled()

    assert ["handler_error"] * 2 == harness.reasons
    assert (
        type(error).__name__ in harness.transport.dead_letters[0].letter.error_message
    )
