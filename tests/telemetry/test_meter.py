"""The meter on OpenTelemetry's instruments: first values, unknown gauges, closing."""

from evmon._telemetry import instruments as i
from evmon._telemetry.meter import NoMeter
from evmon._telemetry.snapshot import Distribution


def test_no_meter_ignores_all_values():
    NoMeter().bind(i.CACHE_ENTRIES)(1)


def test_a_counter_is_0_before_its_first_increment(measured):
    measured.meter.bind(i.CACHE_LOOKUPS, {i.CACHE_RESULT: "hit"})

    assert measured.snapshot.has(i.CACHE_LOOKUPS)
    assert 0 == measured.total(i.CACHE_LOOKUPS)


def test_a_gauge_set_to_nan_has_no_sample(measured):
    gauge = measured.meter.bind(i.CONSUMER_LAG)
    gauge(3)
    assert 3 == measured.total(i.CONSUMER_LAG)
    gauge(float("nan"))

    assert not measured.snapshot.has(i.CONSUMER_LAG)


def test_each_of_many_values_is_one_measurement(measured):
    measured.meter.bind_many(i.RETRY_DELAY)([1.0, 2.0])

    assert Distribution(2, 3.0) == measured.snapshot.distribution(i.RETRY_DELAY)


def test_closing_a_meter_removes_its_gauges(measured):
    measured.meter.bind(i.CONSUMER_READY)(1)
    measured.meter.close()

    assert not measured.snapshot.has(i.CONSUMER_READY)
