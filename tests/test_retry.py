"""Retries: delays, which errors are retried, settings."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evmon import ConfigError, InvalidEventError, Reject, RetryLater, RetryPolicy
from evmon._retry import Retrier
from evmon._telemetry import instruments as i
from evmon._telemetry.meter import NoMeter
from evmon._telemetry.recorders import RetryRecorder

PLAIN = RetryPolicy(jitter="none")


@pytest.fixture
def retrier(instant_clock, measured):
    return Retrier(instant_clock, RetryRecorder(measured.meter, "handler"))


class Flaky:
    """Fails a number of times, then succeeds."""

    def __init__(self, failures, error=None):
        self.calls = 0
        self._failures = failures
        self._error = error or ConnectionError("down")

    async def __call__(self):
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return "done"


def test_delays_double_up_to_the_cap():
    policy = RetryPolicy(base_delay=0.1, max_delay=5.0, multiplier=2.0)

    assert [
        0.1,
        0.2,
        0.4,
        0.8,
        1.6,
        3.2,
        5.0,
        5.0,
    ] == [policy.delay(n) for n in range(8)]


@given(
    base=st.floats(0, 1e6),
    cap=st.floats(0, 1e6),
    multiplier=st.floats(1, 1e6),
    n=st.integers(0, 100_000),
)
def test_delays_follow_the_formula_for_any_values(base, cap, multiplier, n):
    policy = RetryPolicy(base_delay=base, max_delay=cap, multiplier=multiplier)
    try:
        expected = min(base * multiplier**n, cap)
    except OverflowError:
        expected = cap if base else 0.0

    assert expected == policy.delay(n)
    assert math.isfinite(policy.delay(n))


@given(n=st.integers(0, 50), chance=st.floats(0, 1, exclude_max=True))
def test_full_jitter_waits_a_random_part_of_the_delay(n, chance):
    class Chance:
        random = staticmethod(lambda: chance)

    retrier = Retrier(Chance(), RetryRecorder(NoMeter(), "handler"))
    policy = RetryPolicy(max_retries=100)

    delay = retrier.next_delay(policy, n, ValueError())

    assert policy.delay(n) * chance == delay


async def test_without_jitter_the_whole_delay_is_waited(retrier, instant_clock):
    instant_clock.chance = 0.0

    await retrier.call(PLAIN, Flaky(3))

    assert [0.1, 0.2, 0.4] == instant_clock.slept


async def test_an_operation_is_retried_until_it_succeeds(retrier, measured):
    operation = Flaky(2)

    assert "done" == await retrier.call(PLAIN, operation)
    assert 3 == operation.calls
    assert 2 == measured.total(
        i.RETRY_ATTEMPTS,
        **{"evmon.retry.component": "handler", "error.type": "ConnectionError"},
    )
    assert 0 == measured.total(i.RETRY_EXHAUSTED)


async def test_the_last_error_is_raised_unchanged(retrier, measured):
    error = ConnectionError("still down")

    with pytest.raises(ConnectionError) as caught:
        await retrier.call(PLAIN, Flaky(99, error))

    assert error is caught.value
    assert 1 == measured.total(i.RETRY_EXHAUSTED, **{"error.type": "ConnectionError"})
    assert 3 == measured.snapshot.distribution(i.RETRY_DELAY).count


async def test_errors_outside_retry_on_are_not_retried(retrier):
    operation = Flaky(1, ValueError("no"))

    with pytest.raises(ValueError, match="no"):
        await retrier.call(RetryPolicy(retry_on=(ConnectionError,)), operation)

    assert 1 == operation.calls


@pytest.mark.parametrize(
    "error", [Reject("no"), InvalidEventError("invalid_data", "not an order")]
)
async def test_permanent_errors_are_not_retried(retrier, error):
    operation = Flaky(1, error)

    with pytest.raises(type(error)):
        await retrier.call(PLAIN, operation)

    assert 1 == operation.calls


async def test_cancellation_is_not_a_failed_attempt(retrier, measured):
    operation = Flaky(1, asyncio.CancelledError())

    with pytest.raises(asyncio.CancelledError):
        await retrier.call(PLAIN, operation)

    assert 1 == operation.calls
    assert 0 == measured.total(i.RETRY_ATTEMPTS) + measured.total(i.RETRY_EXHAUSTED)


async def test_retry_later_sets_its_own_delay(retrier, instant_clock):
    await retrier.call(RetryPolicy(retry_on=(ValueError,)), Flaky(1, RetryLater(42)))

    assert [42] == instant_clock.slept


def test_the_counters_exist_before_the_first_retry(measured):
    RetryRecorder(measured.meter, "publish")

    assert measured.snapshot.has(i.RETRY_ATTEMPTS)
    assert measured.snapshot.has(i.RETRY_EXHAUSTED)


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("max_retries", -1, "a whole number, 0 or more"),
        ("max_retries", 1.5, "a whole number, 0 or more"),
        ("max_retries", True, "a whole number, 0 or more"),
        ("base_delay", float("nan"), "a number, 0 or more"),
        ("max_delay", float("inf"), "a number, 0 or more"),
        ("multiplier", 0.5, "a number, 1 or more"),
        ("jitter", "some", "'full' or 'none'"),
    ],
)
def test_an_invalid_value_is_named_with_the_allowed_ones(setting, value, allowed):
    with pytest.raises(ConfigError) as caught:
        RetryPolicy(**{setting: value})

    assert f"RetryPolicy.{setting}={value!r}: must be {allowed}" == str(caught.value)


@pytest.mark.parametrize(
    "kinds", [(asyncio.CancelledError,), ("ValueError",), KeyboardInterrupt]
)
def test_only_exceptions_can_be_retried(kinds):
    with pytest.raises(ConfigError, match="classes derived from Exception"):
        RetryPolicy(retry_on=kinds)


def test_retry_on_accepts_a_single_class():
    assert (ValueError,) == RetryPolicy(retry_on=ValueError).retry_on


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), 1e300, "soon", None])
def test_retry_later_refuses_invalid_delays(delay):
    with pytest.raises(ConfigError, match="must be seconds from 0 to 31,536,000"):
        RetryLater(delay)
