"""Collected metrics as plain numbers, for the monitor and the tests."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf, isnan

from opentelemetry.sdk.metrics.export import (  # noqa: TID251 - reads collected data
    HistogramDataPoint,
    MetricsData,
    NumberDataPoint,
)

from evmon._telemetry.instrument import Instrument

SCOPE = "evmon"
"""Name of the instrumentation scope of evmon."""

_Key = tuple[str, frozenset[tuple[str, object]]]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Count, sum and buckets of a histogram.

    Attributes:
        count: number of values.
        total: sum of the values.
        buckets: number of values in each bucket, by its upper bound.
    """

    count: int = 0
    total: float = 0.0
    buckets: Mapping[float, int] = field(default_factory=dict, compare=False)

    @property
    def mean(self) -> float | None:
        """The average; None before the first measurement."""
        return self.total / self.count if self.count else None

    def since(self, earlier: "Distribution") -> "Distribution":
        """The values that were added after `earlier`."""
        buckets = Counter(self.buckets)
        buckets.subtract(earlier.buckets)
        return Distribution(
            self.count - earlier.count, self.total - earlier.total, buckets
        )

    def quantile(self, share: float) -> float | None:
        """The value that a share of the values does not exceed; None without values.

        Interpolated within a bucket, as PromQL's ``histogram_quantile`` does; the highest
        bound if the value is above it.

        Args:
            share: from 0 to 1.
        """
        left = share * sum(self.buckets.values())
        lower = 0.0
        for upper, count in sorted(self.buckets.items()):
            if count and count >= left:
                inside = 0.0 if upper == inf else (upper - lower) * left / count
                return lower + inside
            left -= count
            lower = upper
        return None


class Snapshot:
    """The state of all instruments at one moment.

    Args:
        data: data that a `MetricReader` received; None if nothing was collected.
    """

    def __init__(self, data: MetricsData | None = None) -> None:
        self._points: dict[_Key, float | Distribution] = dict(_points(data))

    def total(
        self, instrument: Instrument, attributes: Mapping[str, str] = {}
    ) -> float:
        """Sum over all series that have `attributes`; 0 if there are none."""
        return sum(
            value
            for value in self._values(instrument, attributes)
            if isinstance(value, (int, float))
        )

    def distribution(
        self,
        instrument: Instrument,
        attributes: Mapping[str, str] = {},
        without: str = "",
    ) -> Distribution:
        """Count, sum and buckets over all series of a histogram that have `attributes`.

        Series with the attribute `without` are excluded.
        """
        parts = [
            value
            for value in self._values(instrument, attributes, without)
            if isinstance(value, Distribution)
        ]
        buckets: Counter[float] = Counter()
        for part in parts:
            buckets.update(part.buckets)
        count, total = sum(p.count for p in parts), sum(p.total for p in parts)
        return Distribution(count, total, buckets)

    def has(self, instrument: Instrument) -> bool:
        """Whether any series of the instrument was collected."""
        return next(self._values(instrument, {}), None) is not None

    def _values(
        self,
        instrument: Instrument,
        attributes: Mapping[str, str],
        without: str = "",
    ) -> Iterator[float | Distribution]:
        wanted = attributes.items()
        for (name, labels), value in self._points.items():
            if (
                name not in (instrument.name, instrument.shown_as)
                or not wanted <= labels
            ):
                continue
            if not any(key == without for key, _ in labels):
                yield value


def _points(data: MetricsData | None) -> Iterator[tuple[_Key, float | Distribution]]:
    if data is None:
        return
    for resource_metrics in data.resource_metrics:
        for scope_metrics in resource_metrics.scope_metrics:
            if scope_metrics.scope.name != SCOPE:
                continue
            for metric in scope_metrics.metrics:
                for point in metric.data.data_points:
                    key = (metric.name, frozenset((point.attributes or {}).items()))
                    if isinstance(point, HistogramDataPoint):
                        bounds = (*point.explicit_bounds, inf)
                        buckets = dict(zip(bounds, point.bucket_counts, strict=True))
                        yield key, Distribution(point.count, point.sum, buckets)
                    elif isinstance(point, NumberDataPoint) and not isnan(point.value):
                        yield key, point.value
