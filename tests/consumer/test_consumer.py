"""Every event is handled by all its handlers, and each one's failure is its own."""

import asyncio

import pytest
from tests.stage import Stage, as_received, raw

from evmon import RetryPolicy, TransportError
from evmon._consumer import router
from evmon._telemetry import instruments as i
from evmon._transports.base import Redelivery


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


async def test_an_event_that_was_delivered_too_often_is_not_handled_again(stage):
    seen = []
    s = stage(max_deliveries=2)
    s.on("a", seen.append)
    async with s:
        s.transport._ready.append(received := as_received(raw("a"), deliveries=3))
        s.transport.interrupt()
        await s.until_settled()

    assert seen == []
    assert s.reasons == ["max_deliveries"]
    assert received.raw == s.transport.dead_letters[0].received.raw


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


async def test_cached_calls_of_old_routes_do_not_pile_up(stage, monkeypatch):
    monkeypatch.setattr(router, "MAX_ROUTES", 10)
    s = stage()
    s.on("a", lambda e: None)
    async with s:
        for number in range(50):
            s.on(f"b{number}", lambda e: None)
            await s.send(raw("a"))
        await s.until_settled()

    assert 10 >= len(s.consumer._router._calls)


async def test_a_retry_for_a_handler_that_is_gone_is_dead_lettered_whoever_wants_what(
    stage,
):
    s = stage(ignore_unknown=True)
    s.on("other", print)
    again = Redelivery(0.0, 1, ("shop.Orders.renamed",))
    async with s:
        await s.send(raw())
        (entry,) = await s.transport.read(1, 1)
        await s.transport.settle(entry, None, again)
        await s.until_settled()

    (dead,) = s.transport.dead_letters
    assert "unknown_type" == dead.letter.reason
    assert (
        "handler no longer registered: shop.Orders.renamed" == dead.letter.error_message
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
