"""The circuit breaker pauses reading while too many handler calls fail."""

import asyncio

import pytest
from tests.waiting import eventually, let_tasks_run

from evmon import ConsumerConfig, Event, EventBus, Reject, RetryLater, RetryPolicy
from evmon._consumer.breaker import MAX_PAUSE, Breaker
from evmon._telemetry import instruments as i


@pytest.fixture
def breaker(clock):
    return Breaker(50.0, 4, 5.0, clock)


def record_calls(breaker, outcomes):
    for outcome in outcomes:
        breaker.succeeded() if outcome == "+" else breaker.failed()


def opened(breaker):
    record_calls(breaker, "----")
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
def test_it_opens_when_the_share_of_failed_calls_reaches_the_limit(
    breaker, outcomes, is_open
):
    record_calls(breaker, outcomes)

    assert breaker.is_open == is_open


def test_without_a_limit_it_never_opens(clock):
    breaker = Breaker(None, 4, 5.0, clock)
    record_calls(breaker, "-" * 1000)

    assert not breaker.is_open
    assert breaker.may_read()
    assert 0 == breaker.seconds_to_trial()


def test_with_a_limit_of_0_it_opens_at_the_first_failure(clock):
    breaker = Breaker(0.0, 4, 5.0, clock)
    record_calls(breaker, "++++" * 5)
    assert not breaker.is_open
    record_calls(breaker, "+++-")
    assert breaker.is_open


def test_with_a_limit_of_100_it_opens_when_every_call_failed(clock):
    breaker = Breaker(100.0, 4, 5.0, clock)
    record_calls(breaker, "+---")
    assert not breaker.is_open
    record_calls(breaker, "----")
    assert breaker.is_open


def test_while_open_it_allows_no_read_until_the_pause_ends(breaker, clock, caplog):
    opened(breaker)
    assert (
        "4 of the last 4 handler calls failed: reading is paused for 5 s" in caplog.text
    )
    assert not breaker.may_read()
    assert 5 == breaker.seconds_to_trial()
    clock.now += 4.9
    assert not breaker.may_read()
    clock.now += 0.1

    assert breaker.may_read()
    assert not breaker.may_read(), "one trial at a time"


def test_a_successful_trial_closes_it(breaker, clock):
    opened(breaker)
    clock.now += 5
    assert breaker.may_read()
    breaker.succeeded()

    assert not breaker.is_open
    assert 0 == breaker.seconds_to_trial()
    record_calls(breaker, "---")
    assert not breaker.is_open, "only later calls count"


def test_a_failed_trial_doubles_the_pause_up_to_a_minute(breaker, clock):
    opened(breaker)
    pauses = []
    for _ in range(7):
        pauses.append(breaker.seconds_to_trial())
        clock.now += pauses[-1]
        assert breaker.may_read()
        breaker.failed()

    assert [5, 10, 20, 40, 60, 60, 60] == pauses
    assert MAX_PAUSE == pauses[-1]


def test_closing_resets_the_pause(breaker, clock):
    opened(breaker)
    clock.now += 5
    breaker.may_read()
    breaker.failed()
    clock.now += 10
    breaker.may_read()
    breaker.succeeded()
    opened(breaker)

    assert 5 == breaker.seconds_to_trial()


def test_a_trial_without_an_outcome_is_followed_by_another(breaker, clock):
    opened(breaker)
    clock.now += 5
    assert breaker.may_read()
    clock.now += 5
    assert breaker.may_read()
    assert breaker.is_open


def test_an_empty_read_is_not_the_trial(breaker, clock):
    opened(breaker)
    breaker.trial_read_was_empty()
    assert 5 == breaker.seconds_to_trial()
    clock.now += 5
    assert breaker.may_read()
    breaker.trial_read_was_empty()
    assert breaker.may_read()
    breaker.succeeded()
    assert not breaker.is_open


def test_calls_that_started_before_it_opened_are_not_the_trial(breaker):
    opened(breaker)
    breaker.succeeded()
    breaker.failed()

    assert breaker.is_open
    assert 5 == breaker.seconds_to_trial()


async def test_while_open_retries_wait_and_one_of_them_is_the_trial(breaker, clock):
    opened(breaker)
    admitted = []

    async def retry(name):
        await breaker.wait_to_retry()
        admitted.append(name)

    tasks = [asyncio.create_task(retry(n)) for n in range(3)]
    await clock.advance(4.9)
    assert [] == admitted
    await clock.advance(0.1)
    assert 1 == len(admitted)
    assert not breaker.may_read()
    breaker.succeeded()
    await clock.advance(5)

    assert [0, 1, 2] == sorted(admitted)
    await asyncio.gather(*tasks)
    assert breaker.may_read()


async def test_a_waiting_retry_comes_before_a_new_event(breaker, clock):
    opened(breaker)
    task = asyncio.create_task(breaker.wait_to_retry())
    await let_tasks_run()
    clock.now += 5
    assert not breaker.may_read()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert breaker.may_read()


async def test_while_closed_retries_do_not_wait(breaker, clock):
    await breaker.wait_to_retry()

    assert [] == clock.slept


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


async def test_reading_is_paused_while_all_calls_fail_and_no_event_is_lost(caplog):
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
        await eventually(lambda: "reading is paused" in caplog.text)
        await asyncio.sleep(0.2)
        assert 30 > count
        assert 5 == bus._runtime.consumer.in_flight
        healed = True
        await eventually(lambda: len(done) == 50)
        snapshot = bus._runtime.telemetry.snapshot()
        assert 0 == snapshot.total(i.DEAD_LETTERS)

    assert sorted(done) == list(range(50))


@pytest.mark.parametrize("error", [Reject("no"), RetryLater(0)])
async def test_reject_and_retry_later_do_not_open_the_breaker(caplog, error):
    async def handle(event: Event) -> None:
        raise error

    bus = bus_of(handle, retries=2)
    async with bus:
        await bus.publish_many([("a", n) for n in range(50)])
        await eventually(
            lambda: bus._runtime.telemetry.snapshot().total(i.DEAD_LETTERS) == 50
        )

    assert "reading is paused" not in caplog.text


async def test_a_bus_can_be_stopped_while_reading_is_paused(caplog):
    async def handle(event: Event) -> None:
        raise ConnectionError("down")

    bus = EventBus(
        retry=RetryPolicy(max_retries=0),
        consumer=ConsumerConfig(breaker_calls=5, breaker_pause=600),
    )
    bus.add_handler("a", handle)
    await bus.start()
    await bus.publish_many([("a", n) for n in range(5)])
    await eventually(lambda: "reading is paused" in caplog.text)

    await asyncio.wait_for(bus.stop(), 10)
