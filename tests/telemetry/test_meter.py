"""A meter over plain instruments: counters start at 0, unknown gauges show nothing."""

from evmon._telemetry import instruments as i
from evmon._telemetry.meter import NoMeter
from evmon._telemetry.snapshot import Distribution


def test_a_meter_that_measures_nothing_takes_everything():
    NoMeter().bind(i.CACHE_ENTRIES)(1)


def test_a_counter_is_there_before_its_first_increment(measured):
    measured.meter.bind(i.CACHE_LOOKUPS, {i.CACHE_RESULT: "hit"})

    assert measured.snapshot.has(i.CACHE_LOOKUPS)
    assert 0 == measured.total(i.CACHE_LOOKUPS)


def test_a_gauge_that_is_not_known_any_more_shows_nothing(measured):
    gauge = measured.meter.bind(i.CONSUMER_LAG)
    gauge(3)
    assert 3 == measured.total(i.CONSUMER_LAG)
    gauge(float("nan"))

    assert not measured.snapshot.has(i.CONSUMER_LAG)


def test_many_values_at_once_are_as_many_measurements(measured):
    measured.meter.bind_many(i.RETRY_DELAY)([1.0, 2.0])

    assert Distribution(2, 3.0) == measured.snapshot.distribution(i.RETRY_DELAY)


def test_a_meter_that_is_closed_takes_its_gauges_along(measured):
    measured.meter.bind(i.CONSUMER_READY)(1)
    measured.meter.close()

    assert not measured.snapshot.has(i.CONSUMER_READY)
