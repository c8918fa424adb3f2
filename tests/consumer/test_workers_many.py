"""Handlers that take a list of events: one call per batch, one result per event."""

import asyncio
import threading

import pytest
from tests.consumer_harness import as_received, raw
from tests.waiting import eventually, let_tasks_run

from evmon import Event, Reject
from evmon._telemetry import instruments as i


async def test_a_batch_handler_gets_the_events_of_one_read(make_harness, measured):
    calls = []

    async def store(events: list[Event]):
        calls.append([event.id for event in events])

    harness = make_harness(max_concurrency=50, batch_size=20)
    harness.on("a", store)
    await harness.send(*[raw("a", event_id=str(n)) for n in range(50)])
    async with harness:
        await harness.until_settled()

    assert [20, 20, 10] == [len(ids) for ids in calls]
    assert [str(n) for n in range(50)] == [n for ids in calls for n in ids]
    assert 50 == measured.total(i.CONSUMED_MESSAGES)
    assert 3 == measured.snapshot.distribution(i.PROCESS_DURATION).count


@pytest.mark.parametrize("events", [1, 5])
async def test_a_sync_batch_handler_runs_in_a_thread(make_harness, events):
    threads = []

    def store(events: list[Event]):
        threads.append((len(events), threading.current_thread()))

    harness = make_harness()
    harness.on("a", store)
    await harness.send(*[raw("a")] * events)
    async with harness:
        await harness.until_settled()

    ((count, thread),) = threads
    assert events == count
    assert thread is not threading.main_thread()


async def test_after_a_failed_batch_each_event_is_retried_alone(
    make_harness, measured, caplog
):
    calls = []

    async def store(events: list[Event]):
        calls.append([event.id for event in events])
        if "3" in calls[-1]:
            raise ValueError("no room")

    harness = make_harness()
    harness.on("a", store)
    await harness.send(*[raw("a", event_id=str(n)) for n in range(5)])
    async with harness:
        await harness.until_settled()

    assert ["0", "1", "2", "3", "4"] == calls[0], "all at once"
    assert sorted([["0"], ["1"], ["2"], ["4"], *[["3"]] * 3]) == sorted(calls[1:])
    assert ["3"] == [entry.letter.event_id for entry in harness.transport.dead_letters]
    assert 3 == harness.transport.dead_letters[0].letter.attempts
    assert "failed on a batch of 5 events" in caplog.text
    failed = {"error.type": "ValueError"}
    assert 4 == measured.snapshot.distribution(i.PROCESS_DURATION, failed).count


async def test_only_the_event_of_a_batch_with_invalid_data_is_dead_lettered(
    make_harness,
):
    seen = []

    async def store(events: list[Event[int]]):
        seen.extend(event.data for event in events)

    harness = make_harness()
    harness.on("a", store)
    await harness.send(raw("a", 1), raw("a", "two"), raw("a", 3))
    async with harness:
        await harness.until_settled()

    assert [1, 3] == sorted(seen)
    assert ["invalid_data"] == harness.reasons


async def test_redelivered_events_are_handled_one_by_one(make_harness):
    calls = []

    async def store(events: list[Event]):
        calls.append(len(events))

    harness = make_harness()
    harness.on("a", store)
    harness.transport._ready.extend(
        as_received(raw("a"), deliveries=2) for _ in range(3)
    )
    await harness.send(raw("a"), raw("a"))
    async with harness:
        await harness.until_settled()

    assert [1, 1, 1, 2] == sorted(calls)


async def test_the_handler_timeout_covers_a_whole_batch(make_harness):
    calls = []

    async def store(events: list[Event]):
        calls.append(len(events))
        await asyncio.sleep(5 if len(events) > 1 else 0)

    harness = make_harness(handler_timeout=0.05)
    harness.on("a", store)
    await harness.send(raw("a"), raw("a"))
    async with harness:
        await harness.until_settled()

    assert [2, 1, 1] == calls
    assert [] == harness.reasons


async def test_events_of_a_batch_stay_in_flight_until_their_other_handler_is_done(
    make_harness,
):
    calls, done = [], asyncio.Event()

    async def store(events: list[Event]):
        calls.append(len(events))

    async def alone(event):
        await done.wait()
        if event.id == "0":
            raise Reject("not this one")

    harness = make_harness()
    harness.on("a", store)
    harness.on("*", alone)
    await harness.send(*[raw("a", event_id=str(n)) for n in range(3)])
    async with harness:
        await eventually(lambda: calls == [3])
        assert 3 == harness.consumer.in_flight
        done.set()
        await harness.until_settled()

    assert ["rejected"] == harness.reasons


async def test_events_of_a_batch_are_settled_when_the_batch_finishes_last(make_harness):
    calls, done = [], asyncio.Event()

    async def store(events: list[Event]):
        await done.wait()
        calls.append(len(events))

    async def alone(event):
        if event.id == "0":
            raise Reject("not this one")

    harness = make_harness()
    harness.on("a", store)
    harness.on("*", alone)
    await harness.send(*[raw("a", event_id=str(n)) for n in range(3)])
    async with harness:
        await let_tasks_run()
        assert 3 == harness.consumer.in_flight
        done.set()
        await harness.until_settled()

    assert [3] == calls
    assert ["rejected"] == harness.reasons


async def test_after_a_batch_handler_cancels_itself_each_event_is_handled_alone(
    make_harness,
):
    calls = []

    async def store(events: list[Event]):
        calls.append(len(events))
        if len(events) > 1:
            asyncio.current_task().cancel()
            await asyncio.sleep(1)

    harness = make_harness()
    harness.on("a", store)
    await harness.send(raw("a"), raw("a"))
    async with harness:
        await harness.until_settled()

    assert [2, 1, 1] == calls


async def test_a_batch_unfinished_at_the_drain_timeout_is_released(make_harness):
    async def store(events: list[Event]):
        await asyncio.sleep(60)

    harness = make_harness(drain_timeout=0.05)
    harness.on("a", store)
    await harness.send(raw("a"), raw("a"))
    async with harness:
        await eventually(lambda: harness.consumer.in_flight == 2)

    assert 2 == harness.transport.length, "neither event was handled alone"


async def test_an_event_of_a_batch_whose_lease_was_lost_is_not_acknowledged(
    make_harness,
):
    started, done = asyncio.Event(), asyncio.Event()

    async def store(events: list[Event]):
        started.set()
        await done.wait()

    harness = make_harness()
    harness.on("a", store)
    await harness.send(raw("a", event_id="0"), raw("a", event_id="1"))
    async with harness:
        await started.wait()
        lost, kept = harness.consumer._in_flight._entries
        harness.consumer._reclaimed(lost)
        acked = []
        harness.transport.ack, ack = acked.append, harness.transport.ack
        done.set()
        await eventually(lambda: acked)
        ack(kept)
        ack(lost)

    assert [kept] == acked
