"""The reader of the OpenTelemetry SDK: for looks, for families, and for scrapes."""

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import (  # noqa: TID251 - reads what it collected
    Metric,
    MetricsData,
    ScopeMetrics,
)
from opentelemetry.sdk.util.instrumentation import (  # noqa: TID251
    InstrumentationScope,
)
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family

from evmon._telemetry.aggregate import AggregateMeter
from evmon._telemetry.snapshot import SCOPE
from evmon._telemetry.text import Rendered, TextRenderer, is_ours

_Purpose: TypeAlias = Literal["look", "families", "scrape"]


class Reader(PrometheusMetricReader):
    """The exporter's reader, which also hands out what it received.

    The exporter keeps what it receives until the next scrape translates it, so a look
    that is no scrape must not reach it, and two scrapes must not interleave. Its
    translation and the general encoder are for what others measured; our own samples
    have a quicker way into the text.

    Args:
        registry: in which the exporter, and whoever else likes to, shows families.
        bulk: holds what was measured beside the SDK, if anything is.
    """

    def __init__(
        self, registry: CollectorRegistry, bulk: AggregateMeter | None = None
    ) -> None:
        super().__init__(registry=registry, scope_info_enabled=False)
        self.latest: MetricsData | None = None
        self.bulk = bulk
        self._families = registry
        # Re-entrant: a family may be derived from a look of its own.
        self._lock = threading.RLock()
        self._purpose: _Purpose = "families"
        self._renderer = TextRenderer()
        self._ours: list[Metric] = []

    def look(self) -> MetricsData | None:
        """Collect, for nobody else to see."""
        with self._lock:
            purpose, self._purpose = self._purpose, "look"
            try:
                self.collect()
            finally:
                self._purpose = purpose
            return self.latest

    def families(self) -> list[Family]:
        """Collect, and return all that the registry shows."""
        with self._lock:
            return [_known(family) for family in self._families.collect()]

    def scrape(self) -> list[Family | Rendered]:
        """Collect as `families` does, our own samples written out already."""
        with self._lock:
            self._purpose = "scrape"
            self._ours = []
            try:
                others = self.families()
            finally:
                self._purpose = "families"
            return [*self._renderer.render(self._ours), *others]

    def _receive_metrics(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,
        **kwargs: object,
    ) -> None:
        if self.bulk is not None:
            metrics_data = _joined(metrics_data, self.bulk.collect())
        self.latest = metrics_data
        if self._purpose == "look":
            return
        if self._purpose == "scrape":
            self._ours, metrics_data = _split(metrics_data)
        super()._receive_metrics(metrics_data, timeout_millis, **kwargs)


def _joined(data: MetricsData, bulk: Sequence[Metric]) -> MetricsData:
    """What the SDK collected, and what was measured beside it, under one scope."""
    first, *others = data.resource_metrics
    scopes = [s for s in first.scope_metrics if s.scope.name != SCOPE]
    same = [s for s in first.scope_metrics if s.scope.name == SCOPE]
    together = [metric for s in same for metric in s.metrics]
    scope = same[0].scope if same else InstrumentationScope(SCOPE)
    ours = ScopeMetrics(scope, [*bulk, *together], scope.schema_url or "")
    return MetricsData([replace(first, scope_metrics=[ours, *scopes]), *others])


def _split(data: MetricsData) -> tuple[list[Metric], MetricsData]:
    """What we can render ourselves, and the rest."""
    ours: list[Metric] = []
    resources = []
    for resource in data.resource_metrics:
        scopes = []
        for scope in resource.scope_metrics:
            rest = list(scope.metrics)
            if scope.scope.name == SCOPE:
                ours += [metric for metric in scope.metrics if is_ours(metric)]
                rest = [metric for metric in scope.metrics if not is_ours(metric)]
            scopes.append(replace(scope, metrics=rest))
        resources.append(replace(resource, scope_metrics=scopes))
    return ours, MetricsData(resources)


def _known(family: Family) -> Family:
    """A family without the gauges that were set to NaN: not known is no sample."""
    if family.type == "gauge":
        family.samples = [s for s in family.samples if not math.isnan(s.value)]
    return family
