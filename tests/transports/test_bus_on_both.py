"""What a user of the bus may rely on, whatever transport carries the events."""

import asyncio
import threading

import pytest

from evmon import (
    BusStateError,
    ConsumerConfig,
    Delivery,
    Event,
    EventBus,
    EventLimits,
    InvalidEventError,
    PublishError,
    Reject,
    RetryLater,
    RetryPolicy,
    Thresholds,
    event_handler,
)
from evmon._telemetry import instruments as i

QUICK = RetryPolicy(max_retries=2, base_delay=0.001)


@pytest.fixture(params=["memory", "redis"])
def url(request):
    if request.param == "memory":
        return "memory://"
    return request.getfixturevalue("server").url


class Stage:
    """A bus and a look at what it measured."""

    def __init__(self, url, **settings):
        self.bus = EventBus(
            **{"service": "shop", "transport": url, "retry": QUICK, **settings}
        )

    async def __aenter__(self):
        await self.bus.start()
        return self.bus

    async def __aexit__(self, *_):
        await self.bus.stop()

    def total(self, instrument, **attributes):
        snapshot = self.bus._runtime.telemetry.snapshot()
        return snapshot.total(instrument, attributes)

    def calls(self, **attributes):
        snapshot = self.bus._runtime.telemetry.snapshot()
        return snapshot.distribution(i.PROCESS_DURATION, attributes).count

    def dead(self, reason):
        return self.total(i.DEAD_LETTERS, **{i.DEAD_LETTER_REASON: reason})

    @property
    def all_dead(self):
        return self.total(i.DEAD_LETTERS)

    async def until_dead(self, reason, count=1):
        await pytest.eventually(lambda: self.dead(reason) == count)
        assert self.all_dead == count

    async def until_idle(self):
        await pytest.eventually(lambda: not self.total(i.EVENTS_IN_FLIGHT))


@pytest.fixture
def stage(url):
    return lambda **settings: Stage(url, **settings)


@pytest.mark.parametrize(
    ("pattern", "reached"),
    [
        ("order.created", ["order.created"]),
        ("order.*", ["order.created", "order.shipped"]),
        ("order.**", ["order.created", "order.shipped", "order.item.added"]),
    ],
)
async def test_an_event_reaches_the_handlers_whose_pattern_matches(
    stage, pattern, reached
):
    seen, rest = [], []
    s = stage()
    s.bus.add_handler(pattern, lambda e: seen.append(e.type))
    s.bus.add_handler("**", lambda e: rest.append(e.type))
    async with s as bus:
        sent = ["order.created", "order.shipped", "order.item.added", "user.left"]
        for event_type in sent:
            await bus.publish(event_type)
        await pytest.eventually(lambda: len(rest) == 4)
        await s.until_idle()

    assert sorted(reached) == sorted(seen)
    assert sorted(sent) == sorted(rest)


async def test_a_delivered_event_equals_the_published_one(stage):
    seen = []
    s = stage()
    s.bus.add_handler("order.created", seen.append)
    async with s as bus:
        sent = await bus.publish(
            "order.created",
            {"text": "Grüße \u2028 \x00", "none": None, "list": [1, 2.5, True]},
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        await pytest.eventually(lambda: seen)

    assert seen == [sent]


async def test_a_batch_handler_gets_every_event_once(stage):
    batches = []

    async def store(events: list[Event[int]]):
        batches.append([event.data for event in events])

    s = stage()
    s.bus.add_handler("a", store)
    async with s as bus:
        await bus.publish_many(("a", n) for n in range(500))
        await pytest.eventually(lambda: sum(map(len, batches)) == 500)
        await s.until_idle()

    assert list(range(500)) == sorted(n for batch in batches for n in batch)
    assert len(batches) < 50
    assert 0 == s.all_dead


async def test_every_handler_of_an_event_is_called_once(stage):
    seen = []
    s = stage()
    for name in "abc":
        s.bus.add_handler("a", lambda e, name=name: seen.append(name))
    async with s as bus:
        await bus.publish("a")
        await pytest.eventually(lambda: len(seen) == 3)
        await s.until_idle()

    assert ["a", "b", "c"] == sorted(seen)


async def test_sync_handlers_run_in_threads_and_async_ones_in_the_loop(stage):
    threads = {}

    def in_thread(event: Event) -> None:
        threads["sync"] = threading.current_thread()

    async def in_loop(event: Event) -> None:
        threads["async"] = threading.current_thread()

    s = stage()
    s.bus.add_handler("a", in_thread)
    s.bus.add_handler("a", in_loop)
    async with s as bus:
        await bus.publish("a")
        await pytest.eventually(lambda: len(threads) == 2)

    assert threads["async"] is threading.main_thread()
    assert threads["sync"] is not threading.main_thread()


async def test_publish_many_returns_a_result_for_each_event(stage):
    seen = []
    s = stage()
    s.bus.add_handler("a", lambda e: seen.append(e.data))
    async with s as bus:
        results = await bus.publish_many([("a", n) for n in range(2500)])
        await pytest.eventually(lambda: len(seen) == 2500)
        await s.until_idle()
        assert [] == await bus.publish_many([])

    assert [None] * 2500 == results
    assert list(range(2500)) == sorted(seen)


async def test_events_of_publish_nowait_are_sent_before_the_bus_stops(stage, url):
    seen = []
    s = stage()
    s.bus.add_handler("a", lambda e: seen.append(e.data))
    async with s as bus:
        for n in range(50):
            bus.publish_nowait("a", n)
    if url != "memory://":  # the next process handles it
        later = stage()
        later.bus.add_handler("a", lambda e: seen.append(e.data))
        async with later:
            await pytest.eventually(lambda: len(seen) == 50)

    assert list(range(50)) == sorted(seen)


async def test_events_of_publish_nowait_are_sent_soon(stage):
    seen = []
    s = stage()
    s.bus.add_handler("a", lambda e: seen.append(e.data))
    async with s as bus:
        bus.publish_nowait("a", 1)
        await pytest.eventually(lambda: seen == [1])


async def test_a_failing_handler_is_retried_by_its_policy_until_it_succeeds(stage):
    attempts = []

    async def flaky(event: Event, delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt < 3:
            raise ConnectionError("down")

    s = stage(retry=RetryPolicy(max_retries=0))
    s.bus.add_handler("a", flaky, retry=QUICK)
    async with s as bus:
        await bus.publish("a")
        await pytest.eventually(lambda: len(attempts) == 3)
        await s.until_idle()
        assert 0 == s.all_dead
        assert 2 == s.total(i.RETRY_ATTEMPTS, **{i.RETRY_COMPONENT: "handler"})
        assert 2 == s.calls(**{i.ERROR_TYPE: "ConnectionError"})

    assert [1, 2, 3] == attempts


async def test_a_retry_longer_than_a_second_keeps_the_attempts(stage):
    attempts = []

    async def flaky(event: Event, delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt < 3:
            raise ConnectionError("down")

    policy = RetryPolicy(max_retries=2, base_delay=1.01, multiplier=1, jitter="none")
    s = stage(retry=policy)
    s.bus.add_handler("a", flaky)
    s.bus.add_handler("a", lambda e: attempts.append("other"))
    async with s as bus:
        await bus.publish("a")
        await pytest.eventually(lambda: attempts.count("other") and 3 in attempts)
        await s.until_idle()
        assert 0 == s.all_dead

    assert [1, 2, 3] == [a for a in attempts if a != "other"]
    assert 1 == attempts.count("other")


async def test_exhausted_retries_end_in_a_dead_letter(stage):
    attempts = []

    async def fail(event: Event, delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        raise ValueError("never")

    s = stage()
    s.bus.add_handler("a", fail)
    async with s as bus:
        await bus.publish("a")
        await s.until_dead("handler_error")
        await s.until_idle()
        assert 1 == s.total(i.RETRY_EXHAUSTED, **{i.RETRY_COMPONENT: "handler"})

    assert [1, 2, 3] == attempts


async def test_a_failing_handler_does_not_affect_another(stage):
    seen = []

    async def fail(event: Event) -> None:
        raise ValueError("never")

    s = stage()
    s.bus.add_handler("a", fail)
    s.bus.add_handler("a", seen.append)
    async with s as bus:
        await bus.publish("a")
        await s.until_dead("handler_error")

    assert 1 == len(seen)


async def test_a_rejected_event_is_dead_lettered_at_once(stage):
    calls = []

    async def reject(event: Event) -> None:
        calls.append(event)
        raise Reject("cancelled")

    s = stage()
    s.bus.add_handler("a", reject)
    async with s as bus:
        await bus.publish("a")
        await s.until_dead("rejected")

    assert 1 == len(calls)


@pytest.mark.parametrize("delay", [0, 0.01, 1.05])
async def test_retry_later_delays_the_next_attempt(stage, delay):
    attempts = []

    async def later(event: Event, delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            raise RetryLater(delay)

    s = stage()
    s.bus.add_handler("a", later)
    async with s as bus:
        await bus.publish("a")
        await pytest.eventually(lambda: attempts == [1, 2])
        await s.until_idle()
        assert 0 == s.all_dead


async def test_retry_later_at_every_attempt_ends_in_a_dead_letter(stage):
    attempts = []

    async def later(event: Event) -> None:
        attempts.append(event)
        raise RetryLater(0)

    s = stage()
    s.bus.add_handler("a", later)
    async with s as bus:
        await bus.publish("a")
        await s.until_dead("handler_error")

    assert 3 == len(attempts)


async def test_an_event_without_a_handler_is_dead_lettered(stage):
    seen = []
    s = stage()
    s.bus.add_handler("a", seen.append)
    async with s as bus:
        await bus.publish_many([("b", None), ("a", None), ("b", None)])
        await s.until_dead("unknown_type", 2)
        await pytest.eventually(lambda: seen)

    assert 1 == len(seen)


async def test_data_of_the_wrong_type_is_dead_lettered(stage):
    seen = []

    async def handle(data: int) -> None:
        seen.append(data)

    s = stage()
    s.bus.add_handler("a", handle)
    async with s as bus:
        await bus.publish("a", "seven")
        await bus.publish("a", 7)
        await s.until_dead("invalid_data")
        await pytest.eventually(lambda: seen == [7])


def _deep(levels):
    value = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("x" * 2000, "too_large"),
        (_deep(20), "too_deep"),
        (object(), None),
        ({1j: 1}, None),
    ],
    ids=["large", "deep", "object", "key"],
)
@pytest.mark.parametrize("how", ["publish", "publish_many", "publish_nowait"])
async def test_an_invalid_event_is_refused_before_it_is_sent(stage, data, reason, how):
    seen = []
    s = stage(limits=EventLimits(max_bytes=1000, max_depth=10))
    s.bus.add_handler("a", lambda e: seen.append(e.data))
    async with s as bus:
        with pytest.raises(InvalidEventError) as caught:
            if how == "publish":
                await bus.publish("a", data)
            elif how == "publish_nowait":
                bus.publish_nowait("a", data)
            else:
                results = await bus.publish_many([("a", "before"), ("a", data)])
                assert results[0] is None
                raise results[1].__cause__
        await bus.publish("a", "good")
        await pytest.eventually(lambda: "good" in seen)
        await s.until_idle()
        assert 0 == s.all_dead

    assert reason in (None, caught.value.reason)
    assert set(seen) <= {"before", "good"}
    assert ("before" in seen) == (how == "publish_many")


@pytest.mark.parametrize("event_type", ["", "order.*", "a b", "a\n", ".", "x" * 256])
async def test_an_invalid_event_type_is_refused(stage, event_type):
    async with stage() as bus:
        with pytest.raises(InvalidEventError):
            await bus.publish(event_type)


async def test_a_handler_may_publish_while_the_bus_drains(stage):
    started, seen = asyncio.Event(), []
    s = stage()

    async def forward(event: Event) -> None:
        started.set()
        await asyncio.sleep(0.1)
        await s.bus.publish("b", event.data)

    s.bus.add_handler("a", forward)
    s.bus.add_handler("b", seen.append)
    async with s as bus:
        await bus.publish("a", 7)
        await started.wait()

    assert 0 == s.all_dead
    with pytest.raises(BusStateError):
        await bus.publish("a")


async def test_a_sync_handler_can_publish_from_its_thread(stage):
    seen, refused = [], []
    s = stage()

    def forward(event: Event) -> None:
        try:
            s.bus.publish_nowait("b")
        except BusStateError as error:
            refused.append(str(error))
        s.bus.publish_sync("b", event.data)

    s.bus.add_handler("a", forward)
    s.bus.add_handler("b", lambda event: seen.append(event.data))
    async with s as bus:
        await bus.publish("a", 7)
        await pytest.eventually(lambda: seen)
        with pytest.raises(BusStateError, match="await publish"):
            bus.publish_sync("b")

    assert [7] == seen
    assert "such as that of a plain handler, use publish_sync()" in refused[0]


async def test_handlers_of_the_same_name_are_retried_separately(stage):
    calls = []

    def make(name, delay):
        async def handle(event: Event, delivery: Delivery) -> None:
            calls.append(name)
            if delay and delivery.attempt == 1:
                raise RetryLater(delay)

        return handle

    s = stage()
    s.bus.add_handler("a", make("well", 0))
    s.bus.add_handler("a", make("again", 1.01))
    async with s as bus:
        await bus.publish("a")
        await pytest.eventually(lambda: len(calls) == 3, within=10)
        await s.until_idle()

    assert ["again", "again", "well"] == sorted(calls)


async def test_a_retry_finds_its_handler_after_it_was_registered_again(stage):
    attempts = []

    class Orders:
        @event_handler("a")
        async def later(self, event: Event, delivery: Delivery) -> None:
            attempts.append(delivery.attempt)
            if delivery.attempt == 1:
                raise RetryLater(1.05)

    s, orders = stage(), Orders()
    s.bus.register(orders)
    async with s as bus:
        await bus.publish("a")
        await pytest.eventually(lambda: attempts == [1])
        bus.register(orders)
        await pytest.eventually(lambda: attempts == [1, 2])
        await s.until_idle()
        assert 0 == s.all_dead


@pytest.mark.parametrize("max_retries", [0, 3])
async def test_a_cancelled_stop_does_not_count_as_a_failure_of_a_handler(
    stage, max_retries
):
    started = []

    async def slow(event: Event) -> None:
        started.append(event)
        await asyncio.sleep(60)

    s = stage(retry=RetryPolicy(max_retries=max_retries))
    s.bus.add_handler("a", slow)
    await s.bus.start()
    await s.bus.publish_many([("a", n) for n in range(50)])
    await pytest.eventually(lambda: len(started) == 50)
    stopping = asyncio.create_task(s.bus.stop())
    await asyncio.sleep(0.05)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping

    assert s.total(i.RETRY_EXHAUSTED) == s.total(i.RETRY_ATTEMPTS) == s.all_dead == 0


async def test_ignore_unknown_skips_event_types_without_a_handler(stage):
    seen = []
    s = stage(consumer=ConsumerConfig(ignore_unknown=True))
    s.bus.add_handler("order.*", seen.append)
    async with s as bus:
        await bus.publish("user.left")
        await bus.publish("order.created")
        await pytest.eventually(lambda: seen)
        await s.until_idle()

    assert 0 == s.all_dead


async def test_stop_waits_for_running_handlers(stage):
    started, done = [], []

    async def slow(event: Event) -> None:
        started.append(event.data)
        await asyncio.sleep(0.1)
        done.append(event.data)

    s = stage()
    s.bus.add_handler("a", slow)
    async with s as bus:
        await bus.publish_many([("a", n) for n in range(10)])
        await pytest.eventually(lambda: len(started) == 10)

    assert list(range(10)) == sorted(done)
    with pytest.raises(BusStateError):
        await s.bus.publish("a")


async def test_stop_releases_events_after_the_drain_timeout(stage, caplog):
    hanging = asyncio.Event()

    async def hang(event: Event) -> None:
        hanging.set()
        await asyncio.sleep(60)

    s = stage(consumer=ConsumerConfig(drain_timeout=0.05))
    s.bus.add_handler("a", hang)
    async with s as bus:
        await bus.publish("a")
        await asyncio.wait_for(hanging.wait(), 5)

    assert "released 1 events for redelivery" in caplog.text


async def test_a_handler_is_cancelled_after_its_timeout(stage):
    cancelled = []

    async def hang(event: Event) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(event)
            raise

    s = stage(consumer=ConsumerConfig(handler_timeout=0.02))
    s.bus.add_handler("a", hang)
    async with s as bus:
        await bus.publish("a")
        await s.until_dead("handler_error")
        assert 3 == s.calls(**{i.ERROR_TYPE: "TimeoutError"})

    assert 3 == len(cancelled)


async def test_max_concurrency_limits_the_events_handled_at_once(stage):
    running, most, done = 0, 0, 0

    async def handle(event: Event) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        done += 1

    s = stage(consumer=ConsumerConfig(max_concurrency=3))
    s.bus.add_handler("a", handle)
    async with s as bus:
        await bus.publish_many([("a", n) for n in range(50)])
        await pytest.eventually(lambda: done == 50)

    assert 3 == most


async def test_sent_and_consumed_events_are_counted_exactly(stage):
    seen = []
    # The tests' own process is as large as it is.
    s = stage(thresholds=Thresholds(memory_warning_mb=10_000))
    s.bus.add_handler("order.created", seen.append)
    s.bus.add_handler("order.*", seen.append)
    async with s as bus:
        await bus.publish("order.created")
        await bus.publish_many([("order.created", n) for n in range(100)])
        await bus.publish("order.shipped")
        bus.publish_nowait("order.shipped")
        await bus.publish("nobody.cares")
        await s.until_dead("unknown_type")
        await pytest.eventually(lambda: len(seen) == 204)
        await s.until_idle()

        system = bus._runtime.transport.system
        for instrument in (i.SENT_MESSAGES, i.CONSUMED_MESSAGES):
            assert 104 == s.total(instrument)
            by = {i.SYSTEM: system, i.DESTINATION: "shop"}
            assert 104 == s.total(instrument, **by)
            assert 101 == s.total(instrument, **{i.EVENT_TYPE: "order.created"})
            assert 1 == s.total(instrument, **{i.EVENT_TYPE: "_unknown"})
        assert 204 == s.calls()
        assert 0 == s.total(i.PUBLISHER_BUFFER_SIZE)
        assert 0 == s.total(i.EVENTS_LOST)


async def test_publish_nowait_raises_if_the_buffer_is_full(stage):
    from evmon import Batching

    s = stage(batching=Batching(max_buffered=3))
    s.bus.add_handler("a", lambda e: None)
    async with s as bus:
        for _ in range(3):
            bus.publish_nowait("a")
        with pytest.raises(PublishError, match="buffer is full"):
            bus.publish_nowait("a")
        await bus.publish("a")  # awaited, it waits for room


async def test_concurrent_publishers_lose_nothing(stage):
    seen = []
    s = stage()
    s.bus.add_handler("a", lambda e: seen.append(e.id))
    async with s as bus:

        async def publisher():
            return [(await bus.publish("a")).id for _ in range(20)]

        sent = await asyncio.gather(*(publisher() for _ in range(20)))
        await pytest.eventually(lambda: len(seen) == 400)
        await s.until_idle()

    assert sorted(n for ids in sent for n in ids) == sorted(seen)
