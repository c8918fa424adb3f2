"""A meter over plain instruments: counters start at 0, unknown gauges show nothing."""

from evmon._telemetry import instruments as i
from evmon._telemetry.meter import NoMeter


def test_a_meter_that_measures_nothing_takes_everything():
    NoMeter().bind(i.CACHE_ENTRIES)(1)
