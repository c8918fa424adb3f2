"""When nearly everything fails, events are left unread, and no attempt is burnt."""

import asyncio

import pytest

from evmon import ConsumerConfig, Event, EventBus, Reject, RetryLater, RetryPolicy
from evmon._consumer.breaker import MAX_PAUSE, Breaker
from evmon._telemetry import instruments as i


@pytest.fixture
def breaker(clock):
    return Breaker(50.0, 4, 5.0, clock)


def calls(breaker, outcomes):
    for outcome in outcomes:
        breaker.succeeded() if outcome == "+" else breaker.failed()


def opened(breaker):
    calls(breaker, "----")
    assert breaker.is_open
    return breaker


@pytest.mark.parametrize(
    ("outcomes", "is_open"),
    [
        ("", False),
        ("---", False),
        ("----", True),
        ("++--", True),
        ("+++-", False),
        ("++++", False),
        ("+++----", False),
        ("+++-----", True),
        ("+--++--+", True),
    ],
)
def test_it_opens_when_too_many_of_some_calls_failed(breaker, outcomes, is_open):
    calls(breaker, outcomes)

    assert breaker.is_open == is_open


def test_without_a_limit_it_never_opens(clock):
    breaker = Breaker(None, 4, 5.0, clock)
    calls(breaker, "-" * 1000)

    assert not breaker.is_open
    assert breaker.may_read()
    assert breaker.seconds_to_trial() == 0


def test_a_limit_of_0_needs_a_failure_all_the_same(clock):
    breaker = Breaker(0.0, 4, 5.0, clock)
    calls(breaker, "++++" * 5)
    assert not breaker.is_open
    calls(breaker, "+++-")
    assert breaker.is_open


def test_a_limit_of_100_needs_failures_only(clock):
    breaker = Breaker(100.0, 4, 5.0, clock)
    calls(breaker, "+---")
    assert not breaker.is_open
    calls(breaker, "----")
    assert breaker.is_open


def test_open_it_lets_nothing_through_until_the_pause_is_over(breaker, clock, caplog):
    opened(breaker)
    assert (
        "4 of the last 4 handler calls failed: reading is paused for 5 s" in caplog.text
    )
    assert not breaker.may_read()
    assert breaker.seconds_to_trial() == 5
    clock.now += 4.9
    assert not breaker.may_read()
    clock.now += 0.1

    assert breaker.may_read()
    assert not breaker.may_read(), "one try at a time"


def test_a_try_that_succeeds_closes_it(breaker, clock):
    opened(breaker)
    clock.now += 5
    assert breaker.may_read()
    breaker.succeeded()

    assert not breaker.is_open
    assert breaker.seconds_to_trial() == 0
    calls(breaker, "---")
    assert not breaker.is_open, "it looks at new calls"


def test_a_try_that_fails_doubles_the_pause_up_to_a_minute(breaker, clock):
    opened(breaker)
    pauses = []
    for _ in range(7):
        pauses.append(breaker.seconds_to_trial())
        clock.now += pauses[-1]
        assert breaker.may_read()
        breaker.failed()

    assert pauses == [5, 10, 20, 40, 60, 60, 60]
    assert pauses[-1] == MAX_PAUSE


def test_after_it_closed_the_pause_is_the_first_one_again(breaker, clock):
    opened(breaker)
    clock.now += 5
    breaker.may_read()
    breaker.failed()
    clock.now += 10
    breaker.may_read()
    breaker.succeeded()
    opened(breaker)

    assert breaker.seconds_to_trial() == 5


def test_a_try_that_comes_to_nothing_is_followed_by_another(breaker, clock):
    opened(breaker)
    clock.now += 5
    assert breaker.may_read()
    clock.now += 5
    assert breaker.may_read()
    assert breaker.is_open


def test_a_read_that_brings_nothing_uses_up_no_try(breaker, clock):
    opened(breaker)
    breaker.trial_read_was_empty()
    assert breaker.seconds_to_trial() == 5
    clock.now += 5
    assert breaker.may_read()
    breaker.trial_read_was_empty()
    assert breaker.may_read()
    breaker.succeeded()
    assert not breaker.is_open


def test_calls_that_ran_when_it_opened_do_not_count_as_the_try(breaker):
    opened(breaker)
    breaker.succeeded()
    breaker.failed()

    assert breaker.is_open
    assert breaker.seconds_to_trial() == 5


async def test_retries_wait_and_one_of_them_is_the_try(breaker, clock):
    opened(breaker)
    admitted = []

    async def retry(name):
        await breaker.wait_to_retry()
        admitted.append(name)

    tasks = [asyncio.create_task(retry(n)) for n in range(3)]
    await clock.advance(4.9)
    assert admitted == []
    await clock.advance(0.1)
    assert len(admitted) == 1
    assert not breaker.may_read()
    breaker.succeeded()
    await clock.advance(5)

    assert sorted(admitted) == [0, 1, 2]
    await asyncio.gather(*tasks)
    assert breaker.may_read()


async def test_a_retry_that_waits_goes_before_a_new_event(breaker, clock):
    opened(breaker)
    task = asyncio.create_task(breaker.wait_to_retry())
    await pytest.settle()
    clock.now += 5
    assert not breaker.may_read()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert breaker.may_read()


async def test_closed_it_admits_at_once(breaker, clock):
    await breaker.wait_to_retry()

    assert clock.slept == []


# In a bus


def bus_of(handler, retries=1000, **consumer):
    bus = EventBus(
        service="shop",
        retry=RetryPolicy(max_retries=retries, base_delay=0.001, max_delay=0.01),
        consumer=ConsumerConfig(
            breaker_calls=10, breaker_pause=0.05, max_concurrency=5, **consumer
        ),
    )
    bus.add_handler("a", handler)
    return bus


async def test_while_everything_fails_hardly_anything_is_called(caplog):
    count, done, healed = 0, [], False

    async def handle(event: Event) -> None:
        nonlocal count
        count += 1
        if not healed:
            raise ConnectionError("database down")
        done.append(event.data)

    bus = bus_of(handle)
    async with bus:
        await bus.publish_many([("a", n) for n in range(50)])
        await pytest.eventually(lambda: "reading is paused" in caplog.text)
        await asyncio.sleep(0.2)
        assert count < 30
        assert bus._runtime.consumer.in_flight == 5
        healed = True
        await pytest.eventually(lambda: len(done) == 50)
        snapshot = bus._runtime.telemetry.snapshot()
        assert snapshot.total(i.DEAD_LETTERS) == 0

    assert sorted(done) == list(range(50))


@pytest.mark.parametrize("error", [Reject("no"), RetryLater(0)])
async def test_what_is_no_failure_of_the_handler_pauses_nothing(caplog, error):
    async def handle(event: Event) -> None:
        raise error

    bus = bus_of(handle, retries=2)
    async with bus:
        await bus.publish_many([("a", n) for n in range(50)])
        await pytest.eventually(
            lambda: bus._runtime.telemetry.snapshot().total(i.DEAD_LETTERS) == 50
        )

    assert "reading is paused" not in caplog.text


async def test_a_bus_that_pauses_can_be_stopped(caplog):
    async def handle(event: Event) -> None:
        raise ConnectionError("down")

    bus = EventBus(
        retry=RetryPolicy(max_retries=0),
        consumer=ConsumerConfig(breaker_calls=5, breaker_pause=600),
    )
    bus.add_handler("a", handle)
    await bus.start()
    await bus.publish_many([("a", n) for n in range(5)])
    await pytest.eventually(lambda: "reading is paused" in caplog.text)

    await asyncio.wait_for(bus.stop(), 10)
