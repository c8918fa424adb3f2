"""Meters without a provider: one that measures nothing, and one that names the bus."""

from evmon._telemetry import instruments as i
from evmon._telemetry.buffered_meter import BufferedMeter
from evmon._telemetry.meter import BusMeter, NoMeter


def test_no_meter_ignores_all_values():
    NoMeter().bind(i.CACHE_ENTRIES)(1)


def test_every_series_of_a_bus_has_its_name():
    meter = BufferedMeter()
    of_bus = BusMeter(meter, "shop")
    of_bus.bind(i.CACHE_LOOKUPS, {i.CACHE_RESULT: "hit"})(1)
    of_bus.bind_many(i.RETRY_DELAY)([1.0])
    points = [point for metric in meter.collect() for point in metric.data.data_points]

    assert {i.CACHE_RESULT: "hit", i.BUS: "shop"} == points[0].attributes
    assert {i.BUS: "shop"} == points[1].attributes
