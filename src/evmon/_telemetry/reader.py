"""The metric reader: collects for snapshots, for families and for scrapes."""

import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Literal, TypeAlias

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import (  # noqa: TID251 - reads collected data
    Gauge,
    Histogram,
    Metric,
    MetricsData,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import (  # noqa: TID251
    InstrumentationScope,
)
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.samples import Sample

from evmon._telemetry.buffered_meter import BufferedMeter
from evmon._telemetry.snapshot import SCHEMA_URL, SCOPE
from evmon._telemetry.text_format import RenderedFamily, TextRenderer, is_renderable
from evmon._version import __version__

_Purpose: TypeAlias = Literal["read", "families", "scrape"]

_SCOPE: Final = InstrumentationScope(SCOPE, __version__, SCHEMA_URL)

_log = logging.getLogger("evmon.telemetry")


class Reader(PrometheusMetricReader):
    """The reader of the Prometheus exporter, with access to the collected data.

    The exporter buffers what it receives until the next scrape translates it, so other
    collections must not reach it, and scrapes must not interleave. Its translation and
    encoder serve the metrics of the application; `TextRenderer` renders those of evmon.

    Args:
        registry: registry of the exporter and of derived families.
        buffered: meter that measures outside the SDK, if any.
    """

    def __init__(
        self, registry: CollectorRegistry, buffered: BufferedMeter | None = None
    ) -> None:
        super().__init__(registry=registry)
        self.latest: MetricsData | None = None
        self.buffered = buffered
        self._families = registry
        # Re-entrant: a derived family may itself collect.
        self._lock = threading.RLock()
        self._purpose: _Purpose = "families"
        self._renderer = TextRenderer()
        self._renderable: list[Metric] = []
        self._refused: set[str] = set()

    def read(self) -> MetricsData | None:
        """Collect without passing the data to the exporter."""
        with self._lock:
            purpose, self._purpose = self._purpose, "read"
            try:
                self.collect()
            finally:
                self._purpose = purpose
            return self.latest

    def families(self) -> list[Family]:
        """Collect and return all families of the registry."""
        with self._lock:
            return [_shown(family) for family in self._families.collect()]

    def scrape(self) -> list[Family | RenderedFamily]:
        """The same as `families`, with the samples of evmon already rendered."""
        with self._lock:
            self._purpose = "scrape"
            self._renderable = []
            try:
                others = self.families()
            finally:
                self._purpose = "families"
            return [*self._renderer.render(self._renderable), *others]

    def _receive_metrics(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,
        **kwargs: object,
    ) -> None:
        if self.buffered is not None:
            metrics_data = _merged(metrics_data, self.buffered.collect())
        self.latest = metrics_data
        if self._purpose == "read":
            return
        metrics_data = self._supported(metrics_data)
        if self._purpose == "scrape":
            self._renderable, metrics_data = _split(metrics_data)
        super()._receive_metrics(metrics_data, timeout_millis, **kwargs)

    def _supported(self, data: MetricsData) -> MetricsData:
        """Leave out what the exporter fails on, such as exponential histograms."""

        def is_supported(metric: Metric) -> bool:
            if isinstance(metric.data, (Sum, Gauge, Histogram)):
                return True
            if metric.name not in self._refused:
                self._refused.add(metric.name)
                kind = type(metric.data).__name__
                _log.warning("cannot render %s on /metrics: %s", metric.name, kind)
            return False

        return _with_metrics(data, lambda _, metric: is_supported(metric))


def _with_metrics(
    data: MetricsData, keep: Callable[[ScopeMetrics, Metric], bool]
) -> MetricsData:
    """The data with those of its metrics that are to be kept."""
    return MetricsData(
        [
            replace(
                resource,
                scope_metrics=[
                    replace(scope, metrics=[m for m in scope.metrics if keep(scope, m)])
                    for scope in resource.scope_metrics
                ],
            )
            for resource in data.resource_metrics
        ]
    )


def _merged(data: MetricsData, buffered: Sequence[Metric]) -> MetricsData:
    """Merge buffered metrics into the scope of those that the SDK collected."""
    first, *others = data.resource_metrics
    scopes = [s for s in first.scope_metrics if s.scope.name != SCOPE]
    same = [s for s in first.scope_metrics if s.scope.name == SCOPE]
    same_scope = [metric for s in same for metric in s.metrics]
    scope = same[0].scope if same else _SCOPE
    scope_metrics = ScopeMetrics(
        scope, [*buffered, *same_scope], scope.schema_url or ""
    )
    return MetricsData(
        [replace(first, scope_metrics=[scope_metrics, *scopes]), *others]
    )


def _split(data: MetricsData) -> tuple[list[Metric], MetricsData]:
    """Split into the metrics that `TextRenderer` can render, and the rest."""
    renderable: list[Metric] = []

    def is_left(scope: ScopeMetrics, metric: Metric) -> bool:
        if scope.scope.name != SCOPE or not is_renderable(metric):
            return True
        renderable.append(metric)
        return False

    rest = _with_metrics(data, is_left)
    return renderable, rest


def _shown(family: Family) -> Family:
    """Remove NaN of gauges, which means unknown, and the scope from series of evmon.

    The series of other libraries keep it: they may have instruments of one name.
    """
    family.samples = [
        _without_scope(sample)
        for sample in family.samples
        if family.type != "gauge" or not math.isnan(sample.value)
    ]
    return family


def _without_scope(sample: Sample) -> Sample:
    if sample.labels.get("otel_scope_name") != SCOPE:
        return sample
    labels = {
        name: value
        for name, value in sample.labels.items()
        if not name.startswith("otel_scope_")
    }
    return sample._replace(labels=labels)
