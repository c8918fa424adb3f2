"""A snapshot is what was collected, as plain numbers."""

from evmon._telemetry import instruments as i
from evmon._telemetry.snapshot import Distribution, Snapshot


def test_a_snapshot_of_nothing_is_zero():
    empty = Snapshot()

    assert empty.total(i.CACHE_LOOKUPS) == 0
    assert Distribution() == empty.distribution(i.RETRY_DELAY)
    assert empty.distribution(i.RETRY_DELAY).mean is None
    assert not empty.has(i.CACHE_LOOKUPS)


def test_a_snapshot_sums_the_series_that_carry_the_attributes(telemetry):
    for error in ("", "ValueError", "OSError"):
        attributes = {"evmon.retry.component": "handler"}
        if error:
            attributes["error.type"] = error
        telemetry.meter.bind(i.RETRY_ATTEMPTS, attributes)(1)
        telemetry.meter.bind(i.PROCESS_DURATION, attributes)(2)
    snapshot = telemetry.snapshot()

    assert snapshot.total(i.RETRY_ATTEMPTS) == 3
    assert snapshot.total(i.RETRY_ATTEMPTS, {"error.type": "OSError"}) == 1
    assert Distribution(3, 6) == snapshot.distribution(i.PROCESS_DURATION)
    assert Distribution(1, 2) == snapshot.distribution(
        i.PROCESS_DURATION, without="error.type"
    )
    assert snapshot.distribution(i.PROCESS_DURATION).mean == 2
