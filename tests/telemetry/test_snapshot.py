"""A snapshot: collected metrics as plain numbers."""

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
