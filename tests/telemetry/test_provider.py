"""The meter provider: collection, resource, foreign providers, disabled SDK."""

import threading

import pytest
from opentelemetry import metrics
from prometheus_client.core import GaugeMetricFamily
from tests.shop import python

from evmon._telemetry import instruments as i
from evmon._telemetry.provider import Telemetry


def samples(telemetry):
    return [s for family in telemetry.families() for s in family.samples]


def test_a_snapshot_does_not_change_what_a_scrape_returns(telemetry):
    telemetry.meter.bind(i.CACHE_ENTRIES)(3)
    for _ in range(5):
        assert 3 == telemetry.snapshot().total(i.CACHE_ENTRIES)

    assert [3.0] == [
        s.value for s in samples(telemetry) if s.name == "evmon_cache_entries"
    ]
    assert 3 == telemetry.latest().total(i.CACHE_ENTRIES)


def test_concurrent_scrapes_return_each_metric_once(telemetry):
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
    assert 160 == len(counts)


def test_the_service_name_is_in_the_resource(telemetry, monkeypatch):
    (target,) = [s for s in samples(telemetry) if s.name == "target_info"]
    assert "shop" == target.labels["service_name"]

    monkeypatch.setenv("OTEL_SERVICE_NAME", "named-outside")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    other = Telemetry("shop")
    (target,) = [s for s in samples(other) if s.name == "target_info"]
    other.shutdown()
    assert "named-outside" == target.labels["service_name"]
    assert "test" == target.labels["deployment_environment_name"]


def test_before_collect_callbacks_run_before_each_collection(telemetry):
    record = telemetry.meter.bind(i.CACHE_ENTRIES)
    telemetry.before_collect(lambda: record(1))
    telemetry.snapshot()

    assert 2.0 in [s.value for s in samples(telemetry)]


def test_collectors_can_add_metric_families(telemetry):
    telemetry.add_collector(lambda: [GaugeMetricFamily("derived", "x", value=7)])

    assert 7 in [s.value for s in samples(telemetry) if s.name == "derived"]


def test_a_foreign_provider_is_used_and_its_lack_of_a_reader_is_logged(
    monkeypatch, caplog
):
    class Foreign(metrics.NoOpMeterProvider):
        pass

    Foreign.__module__ = "somebody.else"
    monkeypatch.setattr(metrics, "get_meter_provider", Foreign)
    telemetry = Telemetry("shop")
    telemetry.meter.bind(i.CACHE_ENTRIES)(1)

    assert 0 == telemetry.snapshot().total(i.CACHE_ENTRIES)
    assert "the monitor and /metrics stay empty" in caplog.text
    telemetry.shutdown()


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("OTEL_RESOURCE_ATTRIBUTES", "my.service.name=x", "shop"),
        ("OTEL_SERVICE_NAME", "", "shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other", "other"),
    ],
)
def test_the_environment_can_override_the_service_name(
    monkeypatch, variable, value, name
):
    monkeypatch.setenv(variable, value)
    telemetry = Telemetry("shop")
    (target,) = [s for s in samples(telemetry) if s.name == "target_info"]
    telemetry.shutdown()

    assert name == target.labels["service_name"]


async def test_a_global_meter_provider_of_the_application_is_used(bus, orders):
    script = """
    import asyncio
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from evmon import EventBus, MetricsConfig

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    metrics.set_meter_provider(provider)

    def collected():
        return {
            metric.name: metric
            for resource in reader.get_metrics_data().resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def only(name):
        (point,) = collected()[name].data.data_points
        return point.value

    async def main():
        for _ in range(2):
            bus = EventBus()
            bus.add_handler("a", print)
            async with bus:
                await bus.publish("a")
                await asyncio.sleep(0.2)
                assert only("evmon.ready") == 1
                assert only("evmon.consumer.lag") == 0
                assert only("evmon.uptime") >= 0.2
                assert bus.monitor.get_metrics().discovery.registered == 1
        names = collected()
        assert not {"evmon.ready", "evmon.discovery.handlers"} & set(names)
        assert sum(p.value for p in names["messaging.client.sent.messages"].data.data_points) == 2
        assert len(names["process.memory.usage"].data.data_points) == 1
        provider.shutdown()

    asyncio.run(main())
    """
    python(script)


async def test_with_the_sdk_disabled_everything_works_and_nothing_is_measured():
    script = """
    import asyncio
    from evmon import EventBus

    async def main():
        seen = []
        bus = EventBus()
        bus.add_handler("a", seen.append)
        async with bus:
            await bus.publish("a")
            assert bus.monitor.get_metrics().cache.hit_rate is None
            assert bus.monitor.get_warnings() == ()
        assert seen

    asyncio.run(main())
    """
    python(script, OTEL_SDK_DISABLED="true")
