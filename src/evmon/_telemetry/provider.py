"""The wiring of the OpenTelemetry SDK: whose provider, which reader, which registry."""

import logging
import math
import os
import threading
import weakref
from collections.abc import Callable, Iterable

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider  # noqa: TID251 - the one place
from opentelemetry.sdk.metrics.export import MetricsData  # noqa: TID251
from opentelemetry.sdk.metrics.view import View  # noqa: TID251
from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: TID251
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from evmon._telemetry.instruments import INSTRUMENTS
from evmon._telemetry.meter import InstrumentMeter, Meter
from evmon._telemetry.process import observe_process
from evmon._telemetry.snapshot import Snapshot

_observed: "weakref.WeakSet[MeterProvider]" = weakref.WeakSet()
_log = logging.getLogger("evmon.telemetry")


class Telemetry:
    """Instruments, what they collected, and the registry that ``/metrics`` renders.

    If the application has set a global `MeterProvider` of the SDK, its provider is used
    and stays the application's to shut down; otherwise evmon makes one of its own.
    `OTEL_SDK_DISABLED`, `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are honoured
    as the OpenTelemetry specification says.

    Args:
        service: value of ``service.name`` where the environment names none.
    """

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._reader = _Reader(self.registry)
        self._before_collect: list[Callable[[], None]] = []
        provider = metrics.get_meter_provider()
        self._adopted = isinstance(provider, MeterProvider)
        if isinstance(provider, MeterProvider):
            provider.add_metric_reader(self._reader)
        elif _is_set_by_application(provider):
            _log.warning(
                "the global MeterProvider %s takes no readers: evmon measures into it,"
                " but its monitor and /metrics see nothing",
                type(provider).__name__,
            )
        else:
            provider = MeterProvider(
                [self._reader],
                _resource(service),
                views=[
                    View(instrument_name=row.name, name=row.shown_as)
                    for row in INSTRUMENTS
                    if row.shown_as
                ],
            )
        self._provider = provider
        otel_meter = provider.get_meter("evmon")
        self.meter: Meter = InstrumentMeter(otel_meter)
        if isinstance(provider, MeterProvider) and provider not in _observed:
            _observed.add(provider)
            observe_process(otel_meter)

    def snapshot(self) -> Snapshot:
        """Collect now and return the numbers. Thread-safe."""
        self._settle()
        return Snapshot(self._reader.read())

    def families(self) -> Iterable[Metric]:
        """Collect now and return what ``/metrics`` shows. Thread-safe."""
        self._settle()
        with self._reader.scraping:
            return [_known(family) for family in self.registry.collect()]

    def latest(self) -> Snapshot:
        """The numbers of the last collection; collects if there was none."""
        return Snapshot(self._reader.latest or self._reader.read())

    def add_collector(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Show more families on ``/metrics``, derived when it is scraped."""
        self.registry.register(_Derived(collect))

    def before_collect(self, settle: Callable[[], None]) -> None:
        """Call `settle` before each collection, to record what was only noted."""
        self._before_collect.append(settle)

    def shutdown(self) -> None:
        """Detach from the application's provider, or flush and close our own."""
        if isinstance(self._provider, MeterProvider):
            if self._adopted:
                self._provider.remove_metric_reader(self._reader)
            else:
                self._provider.shutdown()

    def _settle(self) -> None:
        for settle in self._before_collect:
            settle()


class _Reader(PrometheusMetricReader):
    """The exporter's reader, which also hands out what it received.

    The exporter keeps what it receives until the next scrape translates it, so a look
    that is no scrape must not reach it, and two scrapes must not interleave.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry=registry, scope_info_enabled=False)
        self.latest: MetricsData | None = None
        self.scraping = threading.RLock()
        self._for_scrape = True

    def read(self) -> MetricsData | None:
        with self.scraping:
            self._for_scrape = False
            try:
                self.collect()
            finally:
                self._for_scrape = True
            return self.latest

    def _receive_metrics(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,
        **kwargs: object,
    ) -> None:
        self.latest = metrics_data
        if self._for_scrape:
            super()._receive_metrics(metrics_data, timeout_millis, **kwargs)


class _Derived(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()

    def describe(self) -> Iterable[Metric]:
        return []


def _known(family: Metric) -> Metric:
    """A family without the gauges that were set to NaN: not known is no sample."""
    if family.type == "gauge":
        family.samples = [s for s in family.samples if not math.isnan(s.value)]
    return family


def _is_set_by_application(provider: metrics.MeterProvider) -> bool:
    return not type(provider).__module__.startswith("opentelemetry.metrics")


def _resource(service: str) -> Resource:
    environment_names_it = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in (
        os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    )
    return Resource.create({} if environment_names_it else {SERVICE_NAME: service})
