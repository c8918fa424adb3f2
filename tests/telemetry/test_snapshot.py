"""A snapshot: collected metrics as plain numbers."""

import pytest

from evmon._telemetry import instruments as i
from evmon._telemetry.snapshot import Distribution, Snapshot


def test_an_empty_snapshot_is_zero():
    empty = Snapshot()

    assert 0 == empty.total(i.CACHE_LOOKUPS)
    assert Distribution() == empty.distribution(i.RETRY_DELAY)
    assert empty.distribution(i.RETRY_DELAY).mean is None
    assert not empty.has(i.CACHE_LOOKUPS)


def test_a_snapshot_sums_the_series_with_the_given_attributes(telemetry):
    for error in ("", "ValueError", "OSError"):
        attributes = {"evmon.retry.component": "handler"}
        if error:
            attributes["error.type"] = error
        telemetry.meter.bind(i.RETRY_ATTEMPTS, attributes)(1)
        telemetry.meter.bind(i.PROCESS_DURATION, attributes)(2)
    snapshot = telemetry.snapshot()

    assert 3 == snapshot.total(i.RETRY_ATTEMPTS)
    assert 1 == snapshot.total(i.RETRY_ATTEMPTS, {"error.type": "OSError"})
    assert Distribution(3, 6) == snapshot.distribution(i.PROCESS_DURATION)
    assert Distribution(1, 2) == snapshot.distribution(
        i.PROCESS_DURATION, without="error.type"
    )
    assert 2 == snapshot.distribution(i.PROCESS_DURATION).mean


def test_a_quantile_is_interpolated_within_its_bucket(telemetry):
    assert Snapshot().distribution(i.PROCESS_DURATION).quantile(0.99) is None
    fast = telemetry.meter.bind(i.PROCESS_DURATION, {})
    slow = telemetry.meter.bind(i.PROCESS_DURATION, {"error.type": "OSError"})
    for _ in range(90):
        fast(0.03)
    before = telemetry.snapshot().distribution(i.PROCESS_DURATION)
    for _ in range(10):
        slow(60)
    after = telemetry.snapshot().distribution(i.PROCESS_DURATION)

    assert pytest.approx(0.0375) == before.quantile(
        0.5
    )  # in the bucket from 0.025 to 0.05
    assert 10 == after.quantile(0.99)  # above the highest bound
    assert 10 == after.since(before).quantile(0.01)
