"""A handler of many gets a batch in one call, and a failure of one is not that of the others."""

import asyncio
import threading

import pytest
from tests.stage import as_received, raw

from evmon import Event, Reject
from evmon._telemetry import instruments as i


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
    s.transport._ready.extend(as_received(raw("a"), deliveries=2) for _ in range(3))
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
        lost, kept = s.consumer._in_flight._entries
        s.consumer._reclaimed(lost)
        acked = []
        s.transport.ack, ack = acked.append, s.transport.ack
        done.set()
        await pytest.eventually(lambda: acked)
        ack(kept)
        ack(lost)

    assert [kept] == acked
