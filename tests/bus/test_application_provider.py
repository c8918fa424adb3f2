"""The application's `MeterProvider`: its views, its instruments, and none at all."""

import asyncio
import time

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics import view as v
from opentelemetry.sdk.resources import Resource
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from tests.waiting import eventually

from evmon import Event, EventBus, MonitorConfig, event_handler

CACHE = "evmon.cache.lookups"


class Orders:
    @event_handler("a")
    def handle(self, event: Event) -> None:
        """Do nothing."""


@pytest.fixture
def use(monkeypatch):
    """Use a provider with views, as an application sets one."""

    def use(*views):
        provider = MeterProvider(views=views, shutdown_on_exit=False)
        monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
        return provider

    return use


def shop(**settings):
    bus = EventBus("shop", **settings)
    bus.register(Orders())
    return bus


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (v.View(instrument_name=CACHE, name="mine"), "a View renames it to mine"),
        (
            v.View(instrument_name=CACHE, aggregation=v.DropAggregation()),
            "a View drops it",
        ),
        (
            v.View(instrument_name="evmon.cache.*", attribute_keys={"evmon.bus"}),
            "a View removes evmon.cache.result",
        ),
        (
            v.View(instrument_name=CACHE, aggregation=v.LastValueAggregation()),
            "a View aggregates it with LastValueAggregation",
        ),
    ],
    ids=["renamed", "dropped", "filtered", "aggregated otherwise"],
)
async def test_figures_that_a_view_hides_are_unknown_and_said_once(
    use, caplog, view, reason
):
    use(view)
    async with shop() as bus:
        figures = bus.monitor.get_metrics()
        bus.monitor.check()

    assert (None, None, None) == (
        figures.cache.hits,
        figures.cache.misses,
        figures.cache.hit_rate,
    )
    assert 1 == figures.discovery.registered
    assert 1 == caplog.messages.count(f"the monitor cannot see {CACHE}: {reason}")


async def test_a_second_view_that_leaves_an_instrument_as_it_is_keeps_its_figures(use):
    use(v.View(instrument_name=CACHE, name="mine"), v.View(instrument_name=CACHE))
    async with shop() as bus:
        assert 1 == bus.monitor.get_metrics().cache.misses


async def test_failures_are_unknown_if_a_view_removes_what_marks_them(use):
    kept = {"evmon.bus", "evmon.event.type", "evmon.handler.name"}
    use(v.View(instrument_name="messaging.process.duration", attribute_keys=kept))
    async with shop() as bus:
        await bus.publish_many([("a", None)] * 30)
        await eventually(lambda: bus._runtime.consumer.in_flight == 0)
        values = bus.routes.answer("GET", "/metrics", {}).body.decode()

    assert 'evmon_threshold_limit{alert="EvmonHandlerErrorsHigh"' in values
    assert 'evmon_threshold_value{alert="EvmonHandlerErrorsHigh"' not in values


async def test_exponential_histograms_are_left_out_of_the_page_and_read(use, caplog):
    exponential = v.ExponentialBucketHistogramAggregation()
    use(v.View(instrument_name="evmon.*", aggregation=exponential))
    use(v.View(instrument_name="*.duration", aggregation=exponential))
    async with shop() as bus:
        for _ in range(2):
            response = bus.routes.answer("GET", "/metrics", {"accept-encoding": ""})
            assert 200 == response.status
        assert 1 == bus.monitor.get_metrics().timing.total_runs

    page = response.body.decode()
    assert "evmon_discovery_handlers{" in page
    assert "evmon_discovery_batch_duration_seconds_count" not in page
    assert 1 == caplog.text.count("cannot render evmon.discovery.batch.duration")


@pytest.mark.serial
async def test_slow_instruments_of_the_application_do_not_stop_the_event_loop(use):
    seconds = 0.5
    observed = []

    def slow(_):
        observed.append(1)
        time.sleep(seconds)
        return [Observation(1)]

    meter = use().get_meter("application")
    meter.create_observable_gauge("slow", [slow])
    monitor = MonitorConfig(check_interval_seconds=0.05, summary_interval_seconds=0.1)
    async with shop(monitor=monitor):
        longest, last = 0.0, time.monotonic()
        while len(observed) < 4:
            await asyncio.sleep(0.005)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    assert longest < seconds / 2


async def test_nothing_is_known_while_telemetry_is_off(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with shop() as bus:
        figures = bus.monitor.get_metrics().to_dict()
        page = bus.routes.answer("GET", "/metrics", {}).body.decode()
        assert "Cache: unknown" in bus.monitor.get_performance_summary()

    del figures["memory"]
    assert {None} == {value for part in figures.values() for value in part.values()}
    assert "evmon_retries_recent{" not in page
    assert 'evmon_threshold_value{alert="EvmonRetriesHigh"' not in page
    assert 'evmon_threshold_breached{alert="EvmonRetriesHigh"' not in page
    assert 'evmon_threshold_breached{alert="EvmonMemoryHigh"' in page
    assert 1 == caplog.text.count("telemetry is off")


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
async def test_instruments_of_one_name_are_told_apart_by_their_library(use, accept):
    provider = use()
    async with shop() as bus:
        for library in ("first", "second"):
            meter = provider.get_meter(library, "1.2")
            meter.create_counter("requests").add(3)
            meter.create_up_down_counter("process.memory.usage", "By").add(5)
            meter.create_counter("evmon.ready").add(1)
        page = bus.routes.answer("GET", "/metrics", {"accept": accept}).body.decode()

    if "openmetrics" in accept:
        list(openmetrics_families(page))
    lines = page.splitlines()
    for library in ("first", "second"):
        scope = f'otel_scope_name="{library}",otel_scope_schema_url="",'
        labels = f'{{{scope}otel_scope_version="1.2"}}'
        assert 1 == lines.count(f"requests_total{labels} 3.0")
        assert 1 == lines.count(f"process_memory_usage_bytes{labels} 5.0")
    assert 1 == sum(line.startswith("# TYPE process_memory_usage") for line in lines)
    assert 'evmon_ready{evmon_bus="shop"} 1.0' in lines
    assert 'otel_scope_name="evmon"' not in page


@pytest.mark.parametrize("name", [None, "named"])
async def test_a_provider_without_a_service_name_is_said_once(
    monkeypatch, caplog, name
):
    resource = Resource.create({"service.name": name} if name else {})
    provider = MeterProvider(resource=resource, shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    for _ in range(2):
        async with shop():
            pass

    line = (
        "the MeterProvider of the application has no service.name:"
        " set OTEL_SERVICE_NAME=shop"
    )
    assert (0 if name else 1) == caplog.messages.count(line)
