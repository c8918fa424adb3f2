"""Several buses on one `MeterProvider`, or each with its own: figures of each bus."""

import asyncio

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.waiting import eventually

from evmon import Batching, Event, EventBus, MetricsConfig, RetryPolicy, event_handler
from evmon._telemetry import instruments as i
from evmon._telemetry.snapshot import Snapshot

SERVED = MetricsConfig(port=0, cache_seconds=0)


@pytest.fixture
def reader():
    """The application's own reader."""
    return InMemoryMetricReader()


@pytest.fixture
def shared(reader, monkeypatch):
    """A `MeterProvider` of the application, which all buses use."""
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    return provider


@pytest.fixture(params=["own", "shared"])
def provider(request):
    """The buses have their own providers, or share one."""
    if request.param == "shared":
        request.getfixturevalue("shared")
    return request.param


def make(name, handlers=2, **settings):
    bus = EventBus(name, metrics=SERVED, **settings)
    for n in range(handlers):
        bus.add_handler(f"{name}.{n}", len)
    return bus


def samples(bus, name):
    """The samples of one bus on its page, by name of the bus."""
    page = bus.routes.answer("GET", "/metrics", {}).body.decode()
    lines = [line for line in page.splitlines() if line.startswith(f"{name}{{")]
    return {
        line.partition('evmon_bus="')[2].partition('"')[0]: float(line.split()[-1])
        for line in lines
    }


async def test_a_bus_that_stopped_takes_nothing_from_another(provider):
    first, second = make("first"), make("second", 3, batching=Batching(max_buffered=77))
    async with second:
        async with first:
            pass
        assert {"second": 3} == samples(second, "evmon_discovery_handlers")
        assert {"second": 0} == samples(second, "evmon_cache_entries")
        assert {"second": 77} == samples(second, "evmon_publisher_buffer_limit")
        assert {"second": 1} == samples(second, "evmon_ready")
        assert 3 == second.monitor.get_metrics().discovery.registered


async def test_each_page_and_each_reader_shows_all_running_buses(shared, reader):
    async with make("first", 1) as first:
        async with make("second", 3) as second:
            for bus in (first, second):
                handlers = samples(bus, "evmon_discovery_handlers")
                assert {"first": 1, "second": 3} == handlers
            snapshot = Snapshot(reader.get_metrics_data())
            assert 1 == snapshot.total(i.DISCOVERY_HANDLERS, {i.BUS: "first"})
        assert {"first": 1} == samples(first, "evmon_discovery_handlers")


async def test_a_bus_that_is_not_ready_does_not_look_ready(shared):
    first, second = make("first"), make("second")
    async with second, first:
        first._runtime.health.draining()
        assert {"first": 0, "second": 1} == samples(second, "evmon_ready")
        assert {"first": 0, "second": 1} == samples(first, "evmon_ready")


async def test_a_monitor_does_not_warn_of_the_handlers_of_another_bus(provider):
    def fail(event):
        raise OSError("down")

    first, second = EventBus("first"), make("second")
    first.add_handler("a", fail, retry=RetryPolicy(max_retries=0))
    async with first, second:
        await first.publish_many([("a", None)] * 30)
        await eventually(
            lambda: (
                "EvmonHandlerErrorsHigh"
                in {finding.alert for finding in first.monitor.get_warnings()}
            )
        )
        found = {finding.alert for finding in second.monitor.get_warnings()}
        assert set() == found - {"EvmonMemoryHigh"}
        assert 0 == second.monitor.get_metrics().discovery.retry_count


async def test_a_bus_that_is_restarted_counts_from_its_start(provider):
    for _ in range(2):
        bus = EventBus("shop")
        bus.register(Counted())
        async with bus:
            figures = bus.monitor.get_metrics()
            assert (0, 1) == (figures.cache.hits, figures.cache.misses)
            assert 1 == figures.timing.total_runs
            assert 1 == figures.discovery.registered


class Counted:
    @event_handler("a")
    def handle(self, event: Event) -> None:
        """Do nothing."""


async def test_counters_that_outlive_a_bus_do_not_look_young(shared, clock):
    async with EventBus("shop", metrics=SERVED, clock=clock):
        clock.now += 1000
    async with EventBus("shop", metrics=SERVED, clock=clock) as again:
        uptime = samples(again, "evmon_uptime_seconds")
        assert 1000 <= uptime["shop"]
        async with EventBus("new", metrics=SERVED, clock=clock) as new:
            uptime = samples(new, "evmon_uptime_seconds")
            assert 1000 > uptime["new"]
            assert 1000 <= uptime["shop"]


async def test_a_bus_that_failed_leaves_no_state_behind(provider):
    first, second = make("first"), make("second")
    async with second:
        await first.start()
        first._runtime._task.cancel()
        await asyncio.wait([first._runtime._task])
        assert {"second": 2} == samples(second, "evmon_discovery_handlers")
        assert {"second": 1} == samples(second, "evmon_ready")


async def test_every_series_of_a_bus_names_it(provider):
    first, second = make("first"), make("second")
    async with first, second:
        await first.publish("first.1", {})
        page = first.routes.answer("GET", "/metrics", {}).body.decode()
    lines = [line for line in page.splitlines() if line.startswith(("evmon", "messaging"))]
    process = "evmon_process_memory_unique"
    unnamed = [
        line
        for line in lines
        if "evmon_bus=" not in line and not line.startswith(process)
    ]
    assert [] == unnamed
