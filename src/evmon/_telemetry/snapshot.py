"""Collected metrics as plain numbers, for the monitor and the tests."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from math import isnan

from opentelemetry.sdk.metrics.export import (  # noqa: TID251 - reads collected data
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    MetricsData,
    NumberDataPoint,
)

from evmon._telemetry.instrument import Instrument
from evmon._telemetry.instruments import BUS

SCOPE = "evmon"
"""Name of the instrumentation scope of evmon."""

_DISTRIBUTIONS = (HistogramDataPoint, ExponentialHistogramDataPoint)
_Key = tuple[str, frozenset[tuple[str, object]]]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Count and sum of a histogram."""

    count: int = 0
    total: float = 0.0

    @property
    def mean(self) -> float | None:
        """The average; None before the first measurement."""
        return self.total / self.count if self.count else None


class Snapshot:
    """The state of all instruments at one moment.

    Args:
        data: data that a `MetricReader` received; None if nothing was collected.
        bus: name of the bus whose series, and those of the process, are kept; by default
            all are.
        unseen: instruments that are not collected as declared.
    """

    def __init__(
        self,
        data: MetricsData | None = None,
        bus: str = "",
        unseen: Collection[Instrument] = (),
    ) -> None:
        self._unseen = unseen
        others = _others(bus) if bus else lambda _: False
        self._points: dict[_Key, float | Distribution] = {
            key: value for key, value in _points(data) if not others(key[1])
        }

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
        """Count and sum over all series of a histogram that have `attributes`.

        Series with the attribute `without` are excluded.
        """
        parts = [
            value
            for value in self._values(instrument, attributes, without)
            if isinstance(value, Distribution)
        ]
        return Distribution(
            sum(part.count for part in parts), sum(part.total for part in parts)
        )

    def sees(self, instrument: Instrument) -> bool:
        """Whether the values of an instrument are known; otherwise they are 0 here."""
        return instrument not in self._unseen

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


def _others(bus: str) -> Callable[[frozenset[tuple[str, object]]], bool]:
    """Whether labels are those of another bus."""

    def is_of_another(labels: frozenset[tuple[str, object]]) -> bool:
        return (BUS, bus) not in labels and any(key == BUS for key, _ in labels)

    return is_of_another


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
                    if isinstance(point, _DISTRIBUTIONS):
                        yield key, Distribution(point.count, point.sum)
                    elif isinstance(point, NumberDataPoint) and not isnan(point.value):
                        yield key, point.value
