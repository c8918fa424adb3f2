"""Set-up of the OpenTelemetry SDK: provider, reader and registry."""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from opentelemetry import metrics
from opentelemetry.metrics import Meter as OTelMeter
from opentelemetry.metrics import NoOpMeter
from opentelemetry.sdk.metrics import MeterProvider  # noqa: TID251 - only used here
from opentelemetry.sdk.metrics.view import View  # noqa: TID251
from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: TID251
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from evmon._telemetry.buffered_meter import BufferedMeter
from evmon._telemetry.instruments import INSTRUMENTS
from evmon._telemetry.meter import Gauges, InstrumentMeter, Meter, NoMeter
from evmon._telemetry.process import observe_process
from evmon._telemetry.reader import Reader
from evmon._telemetry.snapshot import SCOPE, Snapshot
from evmon._telemetry.text_format import RenderedFamily

_GAUGES: Final = "_evmon_gauges"
"""Attribute of a provider with the gauges that all buses on it share.

A `WeakKeyDictionary` would keep the provider alive, because its gauges refer to it.
"""

_log = logging.getLogger("evmon.telemetry")


class Telemetry:
    """Instruments, their collection, and the registry that ``/metrics`` renders.

    If the application has set a global `MeterProvider` of the SDK, that is used, and
    the application shuts it down; otherwise evmon creates one. `OTEL_SDK_DISABLED`,
    `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are honoured as in the
    OpenTelemetry specification.

    Args:
        service: value of ``service.name``, unless the environment sets one.
    """

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._reader = Reader(self.registry)
        self._before_collect: list[Callable[[], None]] = []
        provider = metrics.get_meter_provider()
        self._adopted = isinstance(provider, MeterProvider)
        is_private = False
        if isinstance(provider, MeterProvider):
            provider.add_metric_reader(self._reader)
        elif _is_set_by_application(provider):
            _log.warning(
                "the global MeterProvider %s accepts no readers: the monitor and /metrics"
                " stay empty; set one of the OpenTelemetry SDK",
                type(provider).__name__,
            )
        else:
            is_private = True
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
        otel_meter = provider.get_meter(SCOPE)
        if not hasattr(provider, _GAUGES):
            setattr(provider, _GAUGES, Gauges(otel_meter))
            if isinstance(provider, MeterProvider):
                observe_process(otel_meter)
        self.meter = self._meter(otel_meter, is_private)

    def snapshot(self) -> Snapshot:
        """Collect now and return the values; thread-safe."""
        self._prepare()
        return Snapshot(self._reader.read())

    def families(self) -> list[Metric]:
        """Collect now and return the families of ``/metrics``; thread-safe."""
        self._prepare()
        return self._reader.families()

    def scrape(self) -> list[Metric | RenderedFamily]:
        """The same as `families`, with the samples of evmon already rendered."""
        self._prepare()
        return self._reader.scrape()

    def latest(self) -> Snapshot:
        """The values of the last collection; collects if there was none."""
        return Snapshot(self._reader.latest or self._reader.read())

    def add_collector(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Add families to ``/metrics`` that are derived when it is scraped."""
        self.registry.register(_Derived(collect))

    def before_collect(self, record: Callable[[], None]) -> None:
        """Call `record` before each collection, to record values that are due."""
        self._before_collect.append(record)
        if isinstance(self.meter, InstrumentMeter):
            self.meter.before_observe.append(record)  # for the application's readers

    def shutdown(self) -> None:
        """Detach from the application's provider, or flush and shut down the one of evmon."""
        if isinstance(self.meter, InstrumentMeter):
            self.meter.close()
        if isinstance(self._provider, MeterProvider):
            if self._adopted:
                self._provider.remove_metric_reader(self._reader)
            else:
                self._provider.shutdown()

    def _meter(self, otel_meter: OTelMeter, is_private: bool) -> Meter:  # noqa: FBT001
        """Plain instruments if the application reads them, otherwise a buffered meter."""
        if isinstance(otel_meter, NoOpMeter):  # by OTEL_SDK_DISABLED
            return NoMeter()
        if not is_private:
            return InstrumentMeter(otel_meter, getattr(self._provider, _GAUGES))
        self._reader.buffered = meter = BufferedMeter()
        return meter

    def _prepare(self) -> None:
        for record in self._before_collect:
            record()


def flush_application_metrics(seconds: float) -> None:
    """Export what the application's global `MeterProvider` has, before a hard exit."""
    provider = metrics.get_meter_provider()
    if isinstance(provider, MeterProvider):
        provider.force_flush(timeout_millis=seconds * 1000)


class _Derived(Collector):
    """A collector of families that are computed at collection."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()

    def describe(self) -> Iterable[Metric]:
        return []


def _is_set_by_application(provider: metrics.MeterProvider) -> bool:
    return not type(provider).__module__.startswith("opentelemetry.metrics")


def _resource(service: str) -> Resource:
    # Attributes passed to `create` would override the environment.
    named = Resource.create()
    unnamed = str(named.attributes[SERVICE_NAME]).startswith("unknown_service")
    return named.merge(Resource({SERVICE_NAME: service})) if unnamed else named
