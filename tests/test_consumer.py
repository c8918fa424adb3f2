"""Every event is handled by all its handlers, and each one's failure is its own."""

import asyncio
import threading
import time

import pytest

from evmon import (
    ConsumerConfig,
    Delivery,
    Event,
    Reject,
    RetryLater,
    RetryPolicy,
    TransportError,
)
from evmon._clock import SYSTEM_CLOCK
from evmon._consumer import Consumer
from evmon._events import encode, now
from evmon._handlers import handler_of
from evmon._registry import Registry
from evmon._retry import Retrier
from evmon._telemetry import instruments as i
from evmon._telemetry.recorders import ConsumeRecorder, RetryRecorder
from evmon._transports.base import Again
from evmon._transports.memory import MemoryTransport

QUICK = RetryPolicy(max_retries=2, base_delay=0.001)


def raw(event_type="order.created", data=None, event_id="1"):
    return encode(
        Event(id=event_id, source="shop", type=event_type, time=now(), data=data)
    )


class Stage:
    """A consumer on the real memory transport, with handlers that are put in."""

    def __init__(self, meter, **config):
        self.transport = MemoryTransport("shop")
        self.registry = Registry()
        self.consumer = Consumer(
            self.transport,
            self.registry,
            ConsumerConfig(**{"drain_timeout": 2.0, **config}),
            QUICK,
            Retrier(SYSTEM_CLOCK, RetryRecorder(meter, "handler")),
            ConsumeRecorder(meter, "memory", "shop", "shop"),
            SYSTEM_CLOCK,
        )
        self._task = None

    def on(self, pattern, function, retry=None):
        self.registry.add([handler_of(function, pattern, retry)])

    async def __aenter__(self):
        self._task = asyncio.create_task(self.consumer.run())
        return self

    async def __aexit__(self, *_):
        self.consumer.stop()
        await self._task

    async def send(self, *raws):
        await self.transport.publish(raws)

    @property
    def settled(self):
        return not self.transport.pending and not self.transport.length

    async def until_settled(self):
        await pytest.eventually(lambda: self.settled and not self.consumer.in_flight)

    @property
    def reasons(self):
        return [entry.letter.reason for entry in self.transport.dead_letters]


@pytest.fixture
def stage(measured):
    return lambda **config: Stage(measured.meter, **config)


async def test_an_event_reaches_every_handler_that_matches(stage, measured):
    seen = []
    s = stage()
    s.on("order.created", lambda e: seen.append("exact"))
    s.on("order.*", lambda e: seen.append("pattern"))
    s.on("user.*", lambda e: seen.append("other"))
    async with s:
        await s.send(raw())
        await s.until_settled()

    assert {"exact", "pattern"} == set(seen)
    consumed = {"evmon.event.type": "order.created"}
    assert measured.total(i.CONSUMED_MESSAGES, **consumed) == 1
    assert measured.snapshot.distribution(i.PROCESS_DURATION).count == 2
    assert measured.total(i.EVENTS_IN_FLIGHT) == 0


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
    assert time.monotonic() - started < 0.9, "ten at a time, not one by one"


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

    assert len(waiting) == 5
    assert s.reasons == []


async def test_no_more_events_are_read_than_may_be_handled(stage):
    running, most = 0, 0
    gate = asyncio.Event()

    async def handle(event):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    s = stage(max_concurrency=3)
    s.on("a", handle)
    async with s:
        await s.send(*[raw("a")] * 10)
        await pytest.eventually(lambda: running == 3)
        assert s.consumer.in_flight == 3
        assert s.transport.length == 7
        gate.set()
        await s.until_settled()

    assert most == 3


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

    assert calls.count("other") == 1
    assert [c for c in calls if c != "other"] == [1, 2, 3]
    assert s.reasons == []
    failed = measured.snapshot.distribution(
        i.PROCESS_DURATION, {"error.type": "ConnectionError"}
    )
    assert failed.count == 2


async def test_a_handler_that_never_succeeds_ends_in_a_dead_letter(stage, measured):
    async def fail(event):
        raise ValueError("bad\norder \ud800")

    s = stage()
    s.on("a", fail)
    s.on("a", lambda e: None)
    async with s:
        await s.send(raw("a"))
        await s.until_settled()

    (entry,) = s.transport.dead_letters
    assert entry.letter.reason == "handler_error"
    assert entry.letter.error_type == "builtins.ValueError"
    assert entry.letter.error_message == "bad order ?"
    assert entry.letter.attempts == 3
    assert len(entry.letter.handlers) == 1
    assert (
        measured.total(i.DEAD_LETTERS, **{"evmon.dead_letter.reason": "handler_error"})
        == 1
    )


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

    assert calls == [1]
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
        assert s.consumer.in_flight == 0
        await s.until_settled()

    assert [c for c in calls if c != "once"] == [1, 2]
    assert calls.count("once") == 1


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

    assert s.reasons == ["rejected"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"not json", "decode_error"),
        (b"[" * 1000, "too_deep"),
        (b"x" * 300_000, "too_large"),
        (raw("nobody.wants.this"), "unknown_type"),
    ],
)
async def test_bad_input_is_put_aside_with_a_reason_and_the_rest_goes_on(
    stage, measured, bad, reason
):
    seen = []
    s = stage()
    s.on("a", seen.append)
    async with s:
        await s.send(bad, raw("a"), bad)
        await s.until_settled()

    assert [reason] * 2 == s.reasons
    assert len(seen) == 1
    assert measured.total(i.CONSUMED_MESSAGES, **{"evmon.event.type": "_unknown"}) == 2
    assert measured.total(i.EVENTS_IN_FLIGHT) == 0


async def test_data_that_does_not_fit_is_a_dead_letter_and_no_retry(stage):
    def handle(number: int): ...

    s = stage()
    s.on("a", handle)
    async with s:
        await s.send(raw("a", data="seven"))
        await s.until_settled()

    assert s.reasons == ["invalid_data"]


async def test_a_handler_may_be_given_a_time_limit(stage):
    async def hang(event):
        await asyncio.sleep(60)

    s = stage(handler_timeout=0.02)
    s.on("a", hang)
    async with s:
        await s.send(raw("a"))
        await s.until_settled()

    assert s.reasons == ["handler_error"]
    letter = s.transport.dead_letters[0].letter
    assert letter.error_type == "builtins.TimeoutError"
    assert letter.error_message == "not done within 0.02 s (handler_timeout)"


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

    assert len(calls) == 1, "no other try beside it"
    assert s.reasons == []
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
    assert [r.levelname for r in again] == ["INFO", "INFO"]
    assert 'raise KeyError("customer")' in gave_up.exc_text
    assert not [r for r in caplog.records if "\n" in r.message]


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no words")


async def test_an_error_that_cannot_say_what_it_is_harms_only_its_event(stage):
    def fail(event):
        raise MuteError

    s = stage()
    s.on("a", fail)
    async with s:
        await s.send(raw("a"))
        await s.until_settled()

    assert s.reasons == ["handler_error"]


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

    assert s.reasons == ["handler_error"]
    assert len(seen) == 1


async def test_an_event_that_was_delivered_too_often_is_not_handled_again(stage):
    seen = []
    s = stage(max_deliveries=2)
    s.on("a", seen.append)
    async with s:
        s.transport._ready.append(received := _received(raw("a"), deliveries=3))
        s.transport.interrupt()
        await s.until_settled()

    assert seen == []
    assert s.reasons == ["max_deliveries"]
    assert received.raw == s.transport.dead_letters[0].received.raw


def _received(encoded, **fields):
    from evmon._transports.base import Received

    return Received("99", encoded, **fields)


async def test_a_redelivered_event_says_so(stage):
    seen = []

    def handle(event, delivery: Delivery):
        seen.append(delivery)

    s = stage()
    s.on("a", handle)
    async with s:
        s.transport._ready.append(_received(raw("a"), deliveries=2, attempts=1))
        s.transport.interrupt()
        await s.until_settled()

    assert [Delivery(attempt=2, redelivered=True)] == seen


async def test_reading_starts_when_the_first_handler_is_there(stage):
    seen = []
    s = stage()
    async with s:
        await s.send(raw("a"))
        await pytest.settle()
        assert s.transport.length == 1
        s.on("a", seen.append)
        await s.until_settled()

    assert len(seen) == 1


async def test_stopping_lets_running_handlers_finish(stage):
    done = []

    async def slow(event):
        await asyncio.sleep(0.05)
        done.append(event)

    s = stage()
    s.on("a", slow)
    async with s:
        await s.send(raw("a"))
        await pytest.eventually(lambda: s.consumer.in_flight)

    assert len(done) == 1
    assert s.settled


async def test_what_is_not_done_at_the_deadline_is_given_back(stage, measured, caplog):
    cancelled = []

    async def hang(event):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(event)
            raise

    s = stage(drain_timeout=0.02)
    s.on("a", hang)
    async with s:
        await s.send(raw("a"), raw("a"))
        await pytest.eventually(lambda: s.consumer.in_flight == 2)

    assert len(cancelled) == 2
    assert s.transport.length == 2
    assert s.transport.pending == 0
    assert (
        "released 2 events for redelivery: not handled within the drain timeout"
        in caplog.text
    )
    assert measured.total(i.EVENTS_IN_FLIGHT) == 0
    assert s.reasons == []


async def test_a_broken_read_is_tried_again_with_backoff(stage, measured, caplog):
    s = stage()
    seen = []
    s.on("a", seen.append)
    real, failures = s.transport.read, [TransportError("gone")] * 2

    async def read(*arguments):
        if failures:
            raise failures.pop()
        return await real(*arguments)

    s.transport.read = read
    async with s:
        await s.send(raw("a"))
        await s.until_settled()

    assert len(seen) == 1
    assert caplog.text.count("reading failed") == 2


async def test_settling_is_tried_until_the_transport_takes_it(stage, measured):
    s = stage()
    real, failures = s.transport.settle, [TransportError("gone")] * 3

    async def settle(*arguments):
        if failures:
            raise failures.pop()
        return await real(*arguments)

    s.transport.settle = settle
    s.on("b", lambda e: None)
    async with s:
        await s.send(raw("a"))
        await s.until_settled()

    assert s.reasons == ["unknown_type"]
    reason = {"evmon.dead_letter.reason": "unknown_type"}
    assert measured.total(i.DEAD_LETTERS, **reason) == 1
    assert failures == []


async def test_events_that_end_with_the_process_are_told(stage, caplog):
    s = stage()
    await s.send(raw("a"), raw("a"))
    await s.transport.close()

    assert (
        "dropped 2 unhandled events: memory:// does not outlive the process"
        in caplog.text
    )


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

    assert len(set(seen)) == 5000
    assert most - before <= 4
    assert before == len(asyncio.all_tasks())


async def test_a_handler_of_many_gets_what_came_in_one_read(stage, measured):
    calls = []

    async def store(events: list[Event]):
        calls.append([event.id for event in events])

    s = stage(max_concurrency=50, batch_size=20)
    s.on("a", store)
    await s.send(*[raw("a", event_id=str(n)) for n in range(50)])
    async with s:
        await s.until_settled()

    assert [20, 20, 10] == [len(ids) for ids in calls]
    assert [str(n) for n in range(50)] == [n for ids in calls for n in ids]
    assert measured.total(i.CONSUMED_MESSAGES) == 50
    assert measured.snapshot.distribution(i.PROCESS_DURATION).count == 3


@pytest.mark.parametrize("events", [1, 5])
async def test_a_plain_function_of_many_runs_in_a_thread(stage, events):
    threads = []

    def store(events: list[Event]):
        threads.append((len(events), threading.current_thread()))

    s = stage()
    s.on("a", store)
    await s.send(*[raw("a")] * events)
    async with s:
        await s.until_settled()

    ((count, thread),) = threads
    assert events == count
    assert thread is not threading.main_thread()


async def test_one_bad_event_of_many_is_no_failure_of_the_others(
    stage, measured, caplog
):
    calls = []

    async def store(events: list[Event]):
        calls.append([event.id for event in events])
        if "3" in calls[-1]:
            raise ValueError("no room")

    s = stage()
    s.on("a", store)
    await s.send(*[raw("a", event_id=str(n)) for n in range(5)])
    async with s:
        await s.until_settled()

    assert ["0", "1", "2", "3", "4"] == calls[0], "all at once"
    assert sorted([["0"], ["1"], ["2"], ["4"], *[["3"]] * 3]) == sorted(calls[1:])
    assert ["3"] == [entry.letter.event_id for entry in s.transport.dead_letters]
    assert s.transport.dead_letters[0].letter.attempts == 3
    assert "failed on a batch of 5 events" in caplog.text
    failed = {"error.type": "ValueError"}
    assert measured.snapshot.distribution(i.PROCESS_DURATION, failed).count == 4


async def test_data_of_one_of_many_that_does_not_fit_is_its_own_dead_letter(stage):
    seen = []

    async def store(events: list[Event[int]]):
        seen.extend(event.data for event in events)

    s = stage()
    s.on("a", store)
    await s.send(raw("a", 1), raw("a", "two"), raw("a", 3))
    async with s:
        await s.until_settled()

    assert [1, 3] == sorted(seen)
    assert s.reasons == ["invalid_data"]


async def test_whoever_was_delivered_before_comes_alone(stage):
    calls = []

    async def store(events: list[Event]):
        calls.append(len(events))

    s = stage()
    s.on("a", store)
    s.transport._ready.extend(_received(raw("a"), deliveries=2) for _ in range(3))
    await s.send(raw("a"), raw("a"))
    async with s:
        await s.until_settled()

    assert [1, 1, 1, 2] == sorted(calls)


async def test_many_events_share_the_time_limit_of_a_handler(stage):
    calls = []

    async def store(events: list[Event]):
        calls.append(len(events))
        await asyncio.sleep(5 if len(events) > 1 else 0)

    s = stage(handler_timeout=0.05)
    s.on("a", store)
    await s.send(raw("a"), raw("a"))
    async with s:
        await s.until_settled()

    assert [2, 1, 1] == calls
    assert s.reasons == []


async def test_many_events_with_another_handler_wait_for_it(stage):
    calls, done = [], asyncio.Event()

    async def store(events: list[Event]):
        calls.append(len(events))

    async def alone(event):
        await done.wait()
        if event.id == "0":
            raise Reject("not this one")

    s = stage()
    s.on("a", store)
    s.on("*", alone)
    await s.send(*[raw("a", event_id=str(n)) for n in range(3)])
    async with s:
        await pytest.eventually(lambda: calls == [3])
        assert s.consumer.in_flight == 3
        done.set()
        await s.until_settled()

    assert s.reasons == ["rejected"]


async def test_many_events_after_another_handler_are_settled_by_them(stage):
    calls, done = [], asyncio.Event()

    async def store(events: list[Event]):
        await done.wait()
        calls.append(len(events))

    async def alone(event):
        if event.id == "0":
            raise Reject("not this one")

    s = stage()
    s.on("a", store)
    s.on("*", alone)
    await s.send(*[raw("a", event_id=str(n)) for n in range(3)])
    async with s:
        await pytest.settle()
        assert s.consumer.in_flight == 3
        done.set()
        await s.until_settled()

    assert calls == [3]
    assert s.reasons == ["rejected"]


async def test_a_handler_of_many_that_cancels_itself_harms_only_itself(stage):
    calls = []

    async def store(events: list[Event]):
        calls.append(len(events))
        if len(events) > 1:
            asyncio.current_task().cancel()
            await asyncio.sleep(1)

    s = stage()
    s.on("a", store)
    await s.send(raw("a"), raw("a"))
    async with s:
        await s.until_settled()

    assert [2, 1, 1] == calls


async def test_many_events_not_done_at_the_deadline_are_given_back(stage):
    async def store(events: list[Event]):
        await asyncio.sleep(60)

    s = stage(drain_timeout=0.05)
    s.on("a", store)
    await s.send(raw("a"), raw("a"))
    async with s:
        await pytest.eventually(lambda: s.consumer.in_flight == 2)

    assert s.transport.length == 2, "and nothing was called again"


async def test_an_event_that_is_lost_among_many_is_not_settled_here(stage):
    started, done = asyncio.Event(), asyncio.Event()

    async def store(events: list[Event]):
        started.set()
        await done.wait()

    s = stage()
    s.on("a", store)
    await s.send(raw("a", event_id="0"), raw("a", event_id="1"))
    async with s:
        await started.wait()
        lost, kept = s.consumer._open.values()
        s.consumer._lost(lost)
        acked = []
        s.transport.ack, ack = acked.append, s.transport.ack
        done.set()
        await pytest.eventually(lambda: acked)
        ack(kept)
        ack(lost)

    assert [kept] == acked


async def test_a_sync_wrapper_that_returns_a_coroutine_is_awaited(stage):
    seen = []

    async def inner(event):
        seen.append(event)

    s = stage()
    s.on("a", lambda event: inner(event))
    async with s:
        await s.send(raw("a"))
        await s.until_settled()

    assert len(seen) == 1


async def test_plans_of_old_routes_do_not_pile_up(stage):
    s = stage()
    s.on("a", lambda e: None)
    async with s:
        for number in range(50):
            s.on(f"b{number}", lambda e: None)
            await s.send(raw("a"))
        await s.until_settled()

    assert len(s.consumer._plans) <= 4096


async def test_a_retry_for_a_handler_that_is_gone_is_dead_lettered_whoever_wants_what(
    stage,
):
    s = stage(ignore_unknown=True)
    s.on("other", print)
    again = Again(0.0, 1, ("shop.Orders.renamed",))
    async with s:
        await s.send(raw())
        (entry,) = await s.transport.read(1, 1)
        await s.transport.settle(entry, None, again)
        await s.until_settled()

    (dead,) = s.transport.dead_letters
    assert "unknown_type" == dead.letter.reason
    assert (
        "handlers no longer registered: shop.Orders.renamed"
        == dead.letter.error_message
    )


@pytest.mark.parametrize("ignore_unknown", [True, False])
async def test_while_handlers_are_discovered_an_event_without_one_waits(
    stage, ignore_unknown
):
    seen, discovering = [], True
    s = stage(ignore_unknown=ignore_unknown)
    s.consumer._awaits_handlers = lambda: discovering
    s.on("other", print)
    async with s:
        await s.send(raw())
        await pytest.eventually(lambda: not s.consumer.in_flight)
        s.on("order.created", lambda e: seen.append(e.id))
        discovering = False
        await s.until_settled()

    assert ["1"] == seen
    assert [] == s.reasons


async def test_what_heals_a_handler_says_nothing_about_the_transport(
    measured, monkeypatch
):
    s = Stage(measured.meter)
    s.consumer._policy = RetryPolicy(base_delay=60, max_delay=60)
    s.on("a", print)
    read, failures = s.transport.read, [TransportError("away")]

    async def fail_once(*args):
        if failures:
            raise failures.pop()
        return await read(*args)

    monkeypatch.setattr(s.transport, "read", fail_once)
    async with s:
        await s.send(raw("a"))
        await s.until_settled()


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
