"""Consumer: delivery to handlers, concurrency, invalid events, draining."""

import asyncio

import pytest
from tests.consumer_harness import ConsumerHarness, as_received, raw
from tests.waiting import eventually, let_tasks_run

from evmon import RetryPolicy, TransportError
from evmon._consumer import router
from evmon._telemetry import instruments as i
from evmon._transports.base import Redelivery


async def test_an_event_reaches_every_matching_handler(make_harness, measured):
    seen = []
    harness = make_harness()
    harness.on("order.created", lambda e: seen.append("exact"))
    harness.on("order.*", lambda e: seen.append("pattern"))
    harness.on("user.*", lambda e: seen.append("other"))
    async with harness:
        await harness.send(raw())
        await harness.until_settled()

    assert {"exact", "pattern"} == set(seen)
    consumed = {"evmon.event.type": "order.created"}
    assert 1 == measured.total(i.CONSUMED_MESSAGES, **consumed)
    assert 2 == measured.snapshot.distribution(i.PROCESS_DURATION).count
    assert 0 == measured.total(i.EVENTS_IN_FLIGHT)


async def test_consumed_and_handled_events_have_the_same_type_label(
    make_harness, measured
):
    harness = make_harness()
    harness.on("order.created", lambda e: None)
    harness.on("order.*", lambda e: None)
    async with harness:
        await harness.send(raw("order.created"), raw("order.shipped"))
        await harness.until_settled()

    for label, calls in {"order.created": 2, "order.*": 1}.items():
        by = {i.EVENT_TYPE: label}
        assert 1 == measured.total(i.CONSUMED_MESSAGES, **by)
        assert calls == measured.snapshot.distribution(i.PROCESS_DURATION, by).count


async def test_at_most_max_concurrency_events_are_read(make_harness):
    running, most = 0, 0
    gate = asyncio.Event()

    async def handle(event):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    harness = make_harness(max_concurrency=3)
    harness.on("a", handle)
    async with harness:
        await harness.send(*[raw("a")] * 10)
        await eventually(lambda: running == 3)
        assert 3 == harness.consumer.in_flight
        assert 7 == harness.transport.length
        gate.set()
        await harness.until_settled()

    assert 3 == most


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"not json", "decode_error"),
        (b"[" * 1000, "too_deep"),
        (b"x" * 300_000, "too_large"),
        (raw("no.such.handler"), "unknown_type"),
    ],
)
async def test_invalid_events_are_dead_lettered_and_the_others_are_handled(
    make_harness, measured, bad, reason
):
    seen = []
    harness = make_harness()
    harness.on("a", seen.append)
    async with harness:
        await harness.send(bad, raw("a"), bad)
        await harness.until_settled()

    assert [reason] * 2 == harness.reasons
    assert 1 == len(seen)
    assert 2 == measured.total(i.CONSUMED_MESSAGES, **{"evmon.event.type": "_unknown"})
    assert 0 == measured.total(i.EVENTS_IN_FLIGHT)


async def test_an_event_delivered_more_than_max_deliveries_times_is_dead_lettered(
    make_harness,
):
    seen = []
    harness = make_harness(max_deliveries=2)
    harness.on("a", seen.append)
    async with harness:
        harness.transport._ready.append(received := as_received(raw("a"), deliveries=3))
        harness.transport.interrupt()
        await harness.until_settled()

    assert [] == seen
    assert ["max_deliveries"] == harness.reasons
    assert received.raw == harness.transport.dead_letters[0].received.raw


async def test_reading_starts_with_the_first_handler(make_harness):
    seen = []
    harness = make_harness()
    async with harness:
        await harness.send(raw("a"))
        await let_tasks_run()
        assert 1 == harness.transport.length
        harness.on("a", seen.append)
        await harness.until_settled()

    assert 1 == len(seen)


async def test_stopping_lets_running_handlers_finish(make_harness):
    done = []

    async def slow(event):
        await asyncio.sleep(0.05)
        done.append(event)

    harness = make_harness()
    harness.on("a", slow)
    async with harness:
        await harness.send(raw("a"))
        await eventually(lambda: harness.consumer.in_flight)

    assert 1 == len(done)
    assert harness.settled


async def test_events_unfinished_at_the_drain_timeout_are_released(
    make_harness, measured, caplog
):
    cancelled = []

    async def hang(event):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(event)
            raise

    harness = make_harness(drain_timeout=0.02)
    harness.on("a", hang)
    async with harness:
        await harness.send(raw("a"), raw("a"))
        await eventually(lambda: harness.consumer.in_flight == 2)

    assert 2 == len(cancelled)
    assert 2 == harness.transport.length
    assert 0 == harness.transport.pending
    assert (
        "released 2 events for redelivery: not handled within the drain timeout"
        in caplog.text
    )
    assert 0 == measured.total(i.EVENTS_IN_FLIGHT)
    assert [] == harness.reasons


async def test_a_handler_that_cleans_up_has_time_to_do_so(make_harness):
    cleaned = []

    async def cleans(event):
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(event.id)

    harness = make_harness(drain_timeout=0.02)
    harness.on("a", cleans)
    async with harness:
        await harness.send(raw("a"))
        await eventually(lambda: harness.consumer.in_flight)

    assert ["1"] == cleaned
    assert 1 == harness.transport.length, "released"


async def test_a_failed_read_is_retried_with_backoff(make_harness, measured, caplog):
    harness = make_harness()
    seen = []
    harness.on("a", seen.append)
    real, failures = harness.transport.read, [TransportError("gone")] * 2

    async def read(*arguments):
        if failures:
            raise failures.pop()
        return await real(*arguments)

    harness.transport.read = read
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert 1 == len(seen)
    assert 2 == caplog.text.count("reading failed")


async def test_dead_lettering_is_retried_until_the_transport_accepts_it(
    make_harness, measured
):
    harness = make_harness()
    real, failures = harness.transport.settle, [TransportError("gone")] * 3

    async def settle(*arguments):
        if failures:
            raise failures.pop()
        return await real(*arguments)

    harness.transport.settle = settle
    harness.on("b", lambda e: None)
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert ["unknown_type"] == harness.reasons
    reason = {"evmon.dead_letter.reason": "unknown_type"}
    assert 1 == measured.total(i.DEAD_LETTERS, **reason)
    assert [] == failures


async def test_the_cache_of_routes_is_bounded(make_harness, monkeypatch):
    monkeypatch.setattr(router, "MAX_ROUTES", 10)
    harness = make_harness()
    harness.on("a", lambda e: None)
    async with harness:
        for number in range(50):
            harness.on(f"b{number}", lambda e: None)
            await harness.send(raw("a"))
        await harness.until_settled()

    assert 10 >= len(harness.consumer._router._calls)


async def test_a_retry_for_an_unregistered_handler_is_dead_lettered_despite_ignore_unknown(
    make_harness,
):
    harness = make_harness(ignore_unknown=True)
    harness.on("other", print)
    again = Redelivery(0.0, 1, ("shop.Orders.renamed",))
    async with harness:
        await harness.send(raw())
        (entry,) = await harness.transport.read(1, 1)
        await harness.transport.settle(entry, [again])
        await harness.until_settled()

    (dead,) = harness.transport.dead_letters
    assert "unknown_type" == dead.letter.reason
    assert (
        "handler no longer registered: shop.Orders.renamed" == dead.letter.error_message
    )


@pytest.mark.parametrize("ignore_unknown", [True, False])
async def test_an_event_without_a_handler_waits_while_discovery_runs(
    make_harness, ignore_unknown
):
    seen, discovering = [], True
    harness = make_harness(ignore_unknown=ignore_unknown)
    harness.consumer._awaits_handlers = lambda: discovering
    harness.on("other", print)
    async with harness:
        await harness.send(raw())
        await eventually(lambda: not harness.consumer.in_flight)
        harness.on("order.created", lambda e: seen.append(e.id))
        discovering = False
        await harness.until_settled()

    assert ["1"] == seen
    assert [] == harness.reasons


async def test_reads_are_not_retried_by_the_policy_of_handlers(measured, monkeypatch):
    harness = ConsumerHarness(measured.meter)
    harness.consumer._policy = RetryPolicy(base_delay=60, max_delay=60)
    harness.on("a", print)
    read, failures = harness.transport.read, [TransportError("away")]

    async def fail_once(*args):
        if failures:
            raise failures.pop()
        return await read(*args)

    monkeypatch.setattr(harness.transport, "read", fail_once)
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()
