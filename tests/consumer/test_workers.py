"""Handlers are called beside each other, retried alone, and harm only themselves."""

import asyncio
import threading
import time

import pytest
from tests.stage import as_received, raw

from evmon import Delivery, Event, Reject, RetryLater, RetryPolicy
from evmon._telemetry import instruments as i


async def test_sync_handlers_run_in_threads_and_do_not_block_the_loop(stage):
    threads = []

    def block(event):
        threads.append(threading.current_thread())
        time.sleep(0.1)

    s = stage()
    s.on("a", block)
    async with s:
        started = time.monotonic()
        await s.send(*[raw("a")] * 10)
        await s.until_settled()

    assert threading.main_thread() not in threads
    assert 0.9 > time.monotonic() - started, "ten at a time, not one by one"


async def test_async_handlers_run_beside_each_other(stage):
    together = asyncio.Event()
    waiting = []

    async def meet(event):
        waiting.append(event)
        if len(waiting) == 5:
            together.set()
        await asyncio.wait_for(together.wait(), 5)

    s = stage()
    s.on("a", meet)
    async with s:
        await s.send(*[raw("a")] * 5)
        await s.until_settled()

    assert 5 == len(waiting)
    assert [] == s.reasons


async def test_a_failing_handler_is_retried_alone(stage, measured):
    calls = []

    async def flaky(event, delivery: Delivery):
        calls.append(delivery.attempt)
        if delivery.attempt < 3:
            raise ConnectionError("down")

    s = stage()
    s.on("a", flaky)
    s.on("a", lambda e: calls.append("other"))
    async with s:
        await s.send(raw("a"))
        await s.until_settled()

    assert 1 == calls.count("other")
    assert [1, 2, 3] == [c for c in calls if c != "other"]
    assert [] == s.reasons
    failed = measured.snapshot.distribution(
        i.PROCESS_DURATION, {"error.type": "ConnectionError"}
    )
    assert 2 == failed.count


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Reject("cancelled"), "rejected"), (ValueError("x"), "handler_error")],
)
async def test_what_cannot_heal_is_called_once(stage, error, reason):
    calls = []

    async def fail(event):
        calls.append(1)
        raise error

    s = stage()
    s.on("a", fail, RetryPolicy(max_retries=5, retry_on=(ConnectionError,)))
    async with s:
        await s.send(raw("a"))
        await s.until_settled()

    assert [1] == calls
    assert [reason] == s.reasons


async def test_long_waits_are_left_to_the_transport(stage):
    calls = []

    async def later(event, delivery: Delivery):
        calls.append(delivery.attempt)
        if len(calls) == 1:
            raise RetryLater(1.01)

    s = stage()
    s.on("a", later)
    s.on("a", lambda e: calls.append("once"))
    async with s:
        await s.send(raw("a"))
        await pytest.eventually(lambda: s.transport.length == 1)
        assert 0 == s.consumer.in_flight
        await s.until_settled()

    assert [1, 2] == [c for c in calls if c != "once"]
    assert 1 == calls.count("once")


async def test_one_handler_may_give_up_while_another_waits(stage):
    calls = []

    async def later(event):
        calls.append("later")
        if calls.count("later") == 1:
            raise RetryLater(1.01)

    async def reject(event):
        raise Reject("no")

    s = stage()
    s.on("a", later)
    s.on("a", reject)
    async with s:
        await s.send(raw("a"))
        await pytest.eventually(lambda: calls.count("later") == 2)
        await s.until_settled()

    assert ["rejected"] == s.reasons


async def test_a_handler_may_be_given_a_time_limit(stage):
    async def hang(event):
        await asyncio.sleep(60)

    s = stage(handler_timeout=0.02)
    s.on("a", hang)
    async with s:
        await s.send(raw("a"))
        await s.until_settled()

    assert ["handler_error"] == s.reasons
    letter = s.transport.dead_letters[0].letter
    assert "builtins.TimeoutError" == letter.error_type
    assert "not done within 0.02 s (handler_timeout)" == letter.error_message


async def test_a_plain_handler_that_is_late_is_told_of_and_waited_for(stage, caplog):
    calls = []

    def slow(event):
        calls.append(event)
        time.sleep(0.15)

    s = stage(handler_timeout=0.05)
    s.on("a", slow)
    async with s:
        await s.send(raw("a"))
        await s.until_settled()

    assert 1 == len(calls), "no other try beside it"
    assert [] == s.reasons
    assert "a thread cannot be cancelled; make it a coroutine function" in caplog.text


async def test_the_log_shows_where_a_handler_failed(stage, caplog):
    caplog.set_level("INFO")

    def fail(event):
        raise KeyError("customer")

    s = stage()
    s.on("a", fail)
    async with s:
        await s.send(raw("a", event_id="forged\n2026 ERROR all is lost"))
        await s.until_settled()

    again = [r for r in caplog.records if "retrying in" in r.message]
    (gave_up,) = [r for r in caplog.records if "gave up" in r.message]
    assert ["INFO", "INFO"] == [r.levelname for r in again]
    assert 'raise KeyError("customer")' in gave_up.exc_text
    assert not [r for r in caplog.records if "\n" in r.message]


@pytest.mark.parametrize("how", ["raise", "cancel"])
async def test_a_handler_that_cancels_itself_harms_only_itself(stage, how):
    seen = []

    async def suicide(event):
        if how == "cancel":
            asyncio.current_task().cancel()
            await asyncio.sleep(0)
        raise asyncio.CancelledError

    s = stage(max_concurrency=1)
    s.on("bad", suicide, RetryPolicy(max_retries=0))
    s.on("good", lambda e: seen.append(e))
    async with s:
        await s.send(raw("bad"), raw("good"))
        await s.until_settled()

    assert ["handler_error"] == s.reasons
    assert 1 == len(seen)


async def test_a_redelivered_event_says_so(stage):
    seen = []

    def handle(event, delivery: Delivery):
        seen.append(delivery)

    s = stage()
    s.on("a", handle)
    async with s:
        s.transport._ready.append(as_received(raw("a"), deliveries=2, attempts=1))
        s.transport.interrupt()
        await s.until_settled()

    assert [Delivery(attempt=2, redelivered=True)] == seen


async def test_many_events_are_all_handled_by_few_tasks(stage):
    seen = []

    async def handle(event):
        seen.append(event.id)

    s = stage()
    s.on("a", handle)
    before = len(asyncio.all_tasks())
    async with s:
        await s.send(*[raw("a", event_id=str(n)) for n in range(5000)])
        most = 0
        while not s.settled:
            most = max(most, len(asyncio.all_tasks()))
            await asyncio.sleep(0)

    assert 5000 == len(set(seen))
    assert 4 >= most - before
    assert before == len(asyncio.all_tasks())


async def test_a_sync_wrapper_that_returns_a_coroutine_is_awaited(stage):
    seen = []

    async def inner(event):
        seen.append(event)

    s = stage()
    s.on("a", lambda event: inner(event))
    async with s:
        await s.send(raw("a"))
        await s.until_settled()

    assert 1 == len(seen)


class Panic(BaseException):
    """As a library of another language raises it."""


@pytest.mark.parametrize("error", [SystemExit(3), Panic("lost")])
@pytest.mark.parametrize("kind", ["coroutine", "thread", "many"])
async def test_a_handler_that_ends_like_a_program_ends_alone(stage, error, kind):
    def fail():
        raise error

    async def coroutine(event):
        fail()

    def thread(event):
        fail()

    async def many(events: list[Event]):
        fail()

    s = stage()
    s.on("a", {"coroutine": coroutine, "thread": thread, "many": many}[kind])
    async with s:
        await s.send(raw("a"), raw("a"))
        await s.until_settled()

    assert ["handler_error"] * 2 == s.reasons
    assert type(error).__name__ in s.transport.dead_letters[0].letter.error_message
