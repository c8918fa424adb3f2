"""The publisher: batches, retries, lost events, closing."""

import asyncio

import pytest
from tests.waiting import eventually, let_tasks_run

from evmon import (
    Batching,
    BusStateError,
    Event,
    InvalidEventError,
    PublishError,
    PublishRetry,
    TransportError,
)
from evmon._events import now
from evmon._handlers.registry import Route
from evmon._publisher import Publisher
from evmon._retry import Retrier
from evmon._telemetry import instruments as i
from evmon._telemetry.recorders import PublishRecorder, RetryRecorder


class Wire:
    """A transport that records batches, and blocks or fails as a test says."""

    system = "test"
    destination = "shop"
    sent_to = ()

    def __init__(self):
        self.batches = []
        self.failures = []
        self.free = asyncio.Event()
        self.free.set()

    async def publish(self, batch, types, ticket):
        self.batches.append(len(batch))
        await self.free.wait()
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return [TransportError("oom") if bad else None for bad in failure]
        return [None] * len(batch)


def event(number=0, data=None):
    return Event(
        id=str(number), source="shop", type="order.created", time=now(), data=data
    )


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def make(wire, measured, instant_clock):
    def make(retry=PublishRetry(max_retries=2), **batching):
        meter = measured.meter
        return Publisher(
            wire,
            Batching(**batching),
            retry=retry,
            retrier=Retrier(instant_clock, RetryRecorder(meter, "publish")),
            recorder=PublishRecorder(meter, "test", "shop"),
            route_of=lambda event_type: Route((), event_type),
            clock=instant_clock,
        )

    return make


@pytest.fixture
async def running(make):
    publisher = make()
    task = asyncio.create_task(publisher.run())
    yield publisher
    publisher.close()
    await task


def sent(measured, **attributes):
    return measured.total(i.SENT_MESSAGES, **attributes)


async def test_a_single_awaited_event_is_sent_at_once(running, wire, measured):
    await asyncio.wait_for(running.publish(event()), Batching().max_wait * 0.8)

    assert [1] == wire.batches
    assert 1 == sent(measured, **{"evmon.event.type": "order.created"})
    assert 0 == running.buffered


async def test_events_published_while_a_batch_is_sent_form_the_next_batch(
    running, wire
):
    wire.free.clear()
    tasks = [asyncio.create_task(running.publish(event(0)))]
    await let_tasks_run()
    tasks += [asyncio.create_task(running.publish(event(n))) for n in range(99)]
    await let_tasks_run()
    wire.free.set()
    await asyncio.gather(*tasks)

    assert [1, 99] == wire.batches


async def test_a_batch_is_never_larger_than_its_limit(make, wire):
    publisher = make(max_size=10)
    task = asyncio.create_task(publisher.run())
    assert [None] * 25 == await publisher.publish_many(event(n) for n in range(25))
    publisher.close()
    await task

    assert [10, 10, 5] == wire.batches


async def test_without_batching_events_are_sent_one_by_one(make, wire):
    publisher = make(max_size=1)
    task = asyncio.create_task(publisher.run())
    await publisher.publish_many(event(n) for n in range(3))
    publisher.close()
    await task

    assert [1, 1, 1] == wire.batches


async def test_publish_nowait_sends_after_max_wait(make, wire):
    publisher = make(max_wait=0.05)
    task = asyncio.create_task(publisher.run())
    for number in range(5):
        publisher.publish_nowait(event(number))
    await let_tasks_run()
    assert [] == wire.batches
    await eventually(lambda: wire.batches, within=2)
    publisher.close()
    await task

    assert [5] == wire.batches


async def test_an_awaited_event_is_sent_with_the_buffered_ones(make, wire):
    publisher = make(max_wait=30)
    task = asyncio.create_task(publisher.run())
    publisher.publish_nowait(event(1))
    await let_tasks_run()
    await publisher.publish(event(2))
    publisher.close()
    await task

    assert [2] == wire.batches


async def test_a_full_batch_is_sent_at_once(make, wire):
    publisher = make(max_wait=30, max_size=3)
    task = asyncio.create_task(publisher.run())
    for number in range(3):
        publisher.publish_nowait(event(number))
    await eventually(lambda: wire.batches)
    publisher.close()
    await task


async def test_a_failed_batch_is_retried(running, wire, measured, instant_clock):
    wire.failures = [TransportError("gone"), TransportError("gone")]
    await running.publish(event())

    assert [0.1, 0.2] == instant_clock.slept
    assert 2 == measured.total(i.RETRY_ATTEMPTS, **{"evmon.retry.component": "publish"})
    assert 1 == sent(measured)
    errors = {"error.type": "TransportError"}
    assert 2 == measured.snapshot.distribution(i.OPERATION_DURATION, errors).count


async def test_no_retry_begins_after_the_deadline(make, wire, measured, instant_clock):
    wire.failures = [TransportError("gone")] * 9
    publisher = make(PublishRetry(base_delay=2, deadline=5))
    task = asyncio.create_task(publisher.run())
    with pytest.raises(PublishError, match="gone"):
        await publisher.publish(event())
    publisher.close()
    await task

    assert [2, 2, 1] == instant_clock.slept
    assert [1, 1, 1, 1] == wire.batches
    assert 1 == measured.total(i.RETRY_EXHAUSTED)


async def test_the_deadline_counts_from_when_an_event_was_published(
    make, wire, instant_clock
):
    wire.failures = [TransportError("gone")] * 5
    publisher = make(PublishRetry(base_delay=2, deadline=5), max_size=1)
    first = asyncio.create_task(publisher.publish(event(1)))
    second = asyncio.create_task(publisher.publish(event(2)))
    await let_tasks_run()
    task = asyncio.create_task(publisher.run())
    results = await asyncio.gather(first, second, return_exceptions=True)
    publisher.close()
    await task

    assert [PublishError, PublishError] == [type(result) for result in results]
    assert 5 == sum(instant_clock.slept)
    assert 5 == len(wire.batches)


async def test_only_the_refused_events_of_a_batch_are_retried(running, wire):
    wire.failures = [[False, True, True], [True, False], [True], [True]]
    results = await running.publish_many(event(n) for n in range(3))

    assert [3, 2, 1, 1] == wire.batches
    assert [None, None] == [results[0], results[2]]
    assert "1" == results[1].event_id


async def test_a_batch_that_makes_progress_is_retried_beyond_the_limits(
    make, wire, instant_clock
):
    wire.failures = [[False] + [True] * left for left in range(9, 0, -1)]
    publisher = make(PublishRetry(max_retries=1, base_delay=10, deadline=15))
    task = asyncio.create_task(publisher.run())
    results = await publisher.publish_many(event(n) for n in range(10))
    publisher.close()
    await task

    assert [None] * 10 == results
    assert 15 < sum(instant_clock.slept)


async def test_publish_raises_when_the_retries_are_exhausted(running, wire, measured):
    wire.failures = [TransportError("gone")] * 3
    with pytest.raises(PublishError, match="event 7 was not published: gone"):
        await running.publish(event(7))

    assert 1 == measured.total(
        i.RETRY_EXHAUSTED, **{"evmon.retry.component": "publish"}
    )
    assert 1 == sent(measured, **{"error.type": "TransportError"})


async def test_lost_nowait_events_are_counted_and_logged_if_their_batch_has_awaited_ones(
    make, wire, measured, caplog
):
    wire.failures = [TransportError("down")] * 3
    publisher = make()
    for number in range(3):
        publisher.publish_nowait(event(number))
    task = asyncio.create_task(publisher.run())
    with pytest.raises(PublishError, match="down"):
        await publisher.publish(event(3))
    publisher.close()
    await task

    assert 3 == measured.total(i.EVENTS_LOST)
    assert "lost 3 events from publish_nowait: down" in caplog.text
    (record,) = caplog.records
    assert [event(n).id for n in range(3)] == record.event_ids
    assert event(0).type == record.event_type


async def test_abandoning_wakes_publishers_that_wait_for_room_in_the_buffer(make):
    publisher = make(max_buffered=1)
    waiting = [asyncio.create_task(publisher.publish(event(n))) for n in range(3)]
    await asyncio.sleep(0)
    publisher.abandon()
    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert [PublishError, BusStateError, BusStateError] == [type(r) for r in results]


async def test_a_lost_nowait_event_is_logged(make, wire, caplog):
    publisher = make(max_wait=0)
    task = asyncio.create_task(publisher.run())
    wire.failures = [TransportError("gone")] * 3
    publisher.publish_nowait(event())
    publisher.close()
    await task

    assert "lost 1 events from publish_nowait: gone" in caplog.text


async def test_an_event_that_cannot_be_encoded_is_refused_before_sending(running, wire):
    with pytest.raises(InvalidEventError, match="cannot be encoded as JSON"):
        await running.publish(event(data=object()))
    first, second, third = await running.publish_many(
        [event(1), event(2, object()), event(3)]
    )

    assert first is third is None
    assert "2" == second.event_id
    assert "cannot be encoded as JSON" in str(second)
    assert isinstance(second.__cause__, InvalidEventError)
    assert 2 == sum(wire.batches)


async def test_a_full_buffer_makes_publishers_wait(make, wire):
    publisher = make(max_buffered=2, max_size=1)
    task = asyncio.create_task(publisher.run())
    wire.free.clear()
    tasks = [asyncio.create_task(publisher.publish(event(n))) for n in range(4)]
    await let_tasks_run()

    assert 2 == publisher.buffered
    with pytest.raises(PublishError, match="the buffer is full"):
        publisher.publish_nowait(event(9))
    wire.free.set()
    await asyncio.gather(*tasks)
    publisher.close()
    await task
    assert [1, 1, 1, 1] == wire.batches


async def test_a_cancelled_publish_does_not_affect_others(running, wire):
    wire.free.clear()
    first = asyncio.create_task(running.publish(event(1)))
    second = asyncio.create_task(running.publish(event(2)))
    await let_tasks_run()
    first.cancel()
    await let_tasks_run()
    wire.free.set()
    await second

    assert first.cancelled()
    assert [2] == wire.batches


async def test_closing_sends_the_buffered_events(make, wire):
    publisher = make(max_wait=30)
    task = asyncio.create_task(publisher.run())
    publisher.publish_nowait(event(1))
    publisher.close()
    await task

    assert [1] == wire.batches
    with pytest.raises(BusStateError, match="accepts no more events"):
        await publisher.publish(event(2))


async def test_abandoned_events_are_counted_and_their_publishers_get_an_error(
    make, wire, measured
):
    publisher = make(max_size=1)
    task = asyncio.create_task(publisher.run())
    wire.free.clear()
    waiting = [asyncio.create_task(publisher.publish(event(n))) for n in range(3)]
    await let_tasks_run()

    assert 2 == publisher.abandon()
    task.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert ["the bus stopped before the event was sent"] * 3 == [
        str(r.__cause__) for r in results
    ]
    assert 0 == publisher.buffered
    assert 2 == measured.total(i.PUBLISHER_ABANDONED)


async def test_only_events_that_were_handed_over_count_as_sent(make, wire, measured):
    publisher = make(max_size=10, max_buffered=1000)
    wire.free.clear()
    waiting = [asyncio.create_task(publisher.publish(event(n))) for n in range(1000)]
    await let_tasks_run()
    task = asyncio.create_task(publisher.run())
    await eventually(lambda: wire.batches)
    publisher.abandon()
    wire.free.set()
    await task
    await asyncio.gather(*waiting, return_exceptions=True)

    assert 10 == sum(wire.batches)
    assert 10 == measured.total(i.SENT_MESSAGES)
    assert 990 == measured.total(i.PUBLISHER_ABANDONED)


async def test_a_cancelled_publish_many_does_not_wait_for_its_batch(running, wire):
    wire.free.clear()
    sending = asyncio.create_task(running.publish_many(event(n) for n in range(3)))
    await let_tasks_run()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(sending, 1)
    wire.free.set()


async def test_publishing_from_another_thread_or_loop_is_refused(running, wire):
    def elsewhere():
        with pytest.raises(BusStateError, match="publish_sync"):
            running.publish_nowait(event())
        with pytest.raises(BusStateError, match="publish_sync"):
            asyncio.run(running.publish(event()))

    await asyncio.to_thread(elsewhere)
    wire.free.clear()
    running.publish_nowait(event(1))
    await asyncio.to_thread(elsewhere)
    wire.free.set()


async def test_what_finds_no_room_in_time_is_refused(make, wire):
    wire.free.clear()
    publisher = make(max_buffered=2, max_size=1)
    task = asyncio.create_task(publisher.run())
    results = await publisher.publish_many(map(event, range(4)), timeout=0.05)

    assert 4 == sum("not accepted within 0.05 s" in str(error) for error in results)
    assert 2 == publisher.buffered
    wire.free.set()
    assert [None] == await publisher.publish_many([event(5)], timeout=5)
    publisher.close()
    await task
    assert [1, 1, 1] == wire.batches
