"""The wiring of the SDK: what is collected is what is shown, however many look."""

import threading

import pytest
from opentelemetry import metrics
from prometheus_client.core import GaugeMetricFamily

from evmon._telemetry import instruments as i
from evmon._telemetry.meter import NoMeter
from evmon._telemetry.provider import Telemetry
from evmon._telemetry.snapshot import Distribution, Snapshot


@pytest.fixture
def telemetry():
    telemetry = Telemetry("shop")
    yield telemetry
    telemetry.shutdown()


def samples(telemetry):
    return [s for family in telemetry.families() for s in family.samples]


def test_a_look_of_the_monitor_does_not_disturb_a_scrape(telemetry):
    telemetry.meter.bind(i.CACHE_ENTRIES)(3)
    for _ in range(5):
        assert telemetry.snapshot().total(i.CACHE_ENTRIES) == 3

    assert [s.value for s in samples(telemetry) if s.name == "evmon_cache_entries"] == [
        3.0
    ]
    assert telemetry.latest().total(i.CACHE_ENTRIES) == 3


def test_many_may_scrape_at_once(telemetry):
    telemetry.meter.bind(i.CACHE_ENTRIES)(1)
    counts = []

    def look():
        for _ in range(20):
            found = [s for s in samples(telemetry) if s.name == "evmon_cache_entries"]
            counts.append(len(found))
            telemetry.snapshot()

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {1} == set(counts)
    assert len(counts) == 160


def test_the_service_is_in_the_resource(telemetry, monkeypatch):
    (target,) = [s for s in samples(telemetry) if s.name == "target_info"]
    assert target.labels["service_name"] == "shop"

    monkeypatch.setenv("OTEL_SERVICE_NAME", "named-outside")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    other = Telemetry("shop")
    (target,) = [s for s in samples(other) if s.name == "target_info"]
    other.shutdown()
    assert target.labels["service_name"] == "named-outside"
    assert target.labels["deployment_environment_name"] == "test"


def test_what_was_only_noted_is_recorded_before_each_collection(telemetry):
    record = telemetry.meter.bind(i.CACHE_ENTRIES)
    telemetry.before_collect(lambda: record(1))
    telemetry.snapshot()

    assert 2.0 in [s.value for s in samples(telemetry)]


def test_derived_families_may_be_added(telemetry):
    telemetry.add_collector(lambda: [GaugeMetricFamily("derived", "x", value=7)])

    assert 7 in [s.value for s in samples(telemetry) if s.name == "derived"]


def test_a_foreign_provider_is_measured_into_and_the_blindness_is_said(
    monkeypatch, caplog
):
    class Foreign(metrics.NoOpMeterProvider):
        pass

    Foreign.__module__ = "somebody.else"
    monkeypatch.setattr(metrics, "get_meter_provider", Foreign)
    telemetry = Telemetry("shop")
    telemetry.meter.bind(i.CACHE_ENTRIES)(1)

    assert telemetry.snapshot().total(i.CACHE_ENTRIES) == 0
    assert "the monitor and /metrics stay empty" in caplog.text
    telemetry.shutdown()


def test_a_meter_that_measures_nothing_takes_everything():
    NoMeter().bind(i.CACHE_ENTRIES)(1)


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


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("OTEL_RESOURCE_ATTRIBUTES", "my.service.name=x", "shop"),
        ("OTEL_SERVICE_NAME", "", "shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other", "other"),
    ],
)
def test_the_environment_names_the_service_only_if_it_does(
    monkeypatch, variable, value, name
):
    monkeypatch.setenv(variable, value)
    telemetry = Telemetry("shop")
    (target,) = [s for s in samples(telemetry) if s.name == "target_info"]
    telemetry.shutdown()

    assert name == target.labels["service_name"]
