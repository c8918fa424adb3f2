"""A meter that buffers recorded values and aggregates many of them at once.

An OpenTelemetry instrument cleans, hashes and looks up its attributes on every call,
which takes several microseconds. Here a series is looked up once, when it is bound.
Recording appends to a list, which is atomic in the interpreter, so other threads and
finalizers can record into the same series without a lock. The list is aggregated when
it is long and at each collection.
"""

import logging
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf, isfinite, nan
from time import time_ns
from typing import Any, Final, Protocol, TypeAlias

from opentelemetry.sdk.metrics.export import (  # noqa: TID251 - makes its data points
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

from evmon._telemetry.instrument import Instrument, Kind
from evmon._telemetry.instruments import BUS, ERROR_TYPE, OUTCOME
from evmon._telemetry.meter import Attributes, Record, RecordMany

CARDINALITY_LIMIT: Final = 2000
"""Maximum number of series per instrument, as in the OpenTelemetry SDK."""

FLUSH_AT: Final = 128
"""Values buffered before they are aggregated: a few kilobytes per busy series."""

OVERFLOW: Final[Mapping[str, Any]] = {"otel.metric.overflow": True}
"""Attribute of overflow series, by the OpenTelemetry SDK specification."""

_KEPT: Final = (BUS, OUTCOME, ERROR_TYPE)
"""Attributes that an overflow series keeps: few values, and a failure stays one."""

Point: TypeAlias = NumberDataPoint | HistogramDataPoint
Key: TypeAlias = tuple[tuple[str, Any], ...]

_log = logging.getLogger("evmon.telemetry")


class BufferedMeter:
    """A meter that buffers recorded values, and aggregates them exactly.

    Binding the same attributes again returns the same series. Thread-safe.

    Args:
        limit: maximum number of series per instrument, counted when they are bound.

    Example:
        >>> from evmon._telemetry.instruments import CACHE_LOOKUPS
        >>> meter = BufferedMeter()
        >>> meter.bind(CACHE_LOOKUPS, {"evmon.cache.result": "hit"})(2)
        >>> meter.collect()[0].data.data_points[0].value
        2
    """

    def __init__(self, limit: int = CARDINALITY_LIMIT) -> None:
        self._limit = limit
        # Re-entrant: a finalizer may bind while this thread is binding.
        self._lock = threading.RLock()
        self._series: dict[Instrument, dict[Key, Series]] = {}

    def bind(self, instrument: Instrument, attributes: Attributes = {}) -> Record:
        """Return the function that records into one series."""
        return self._bound(instrument, attributes).record

    def bind_many(
        self, instrument: Instrument, attributes: Attributes = {}
    ) -> RecordMany:
        """Return the function that records several values into a histogram series."""
        series = self._bound(instrument, attributes)
        if not isinstance(series, _Distribution):
            raise TypeError(f"{instrument.name} is not a histogram")
        return series.record_many

    def _bound(self, instrument: Instrument, attributes: Attributes) -> "Series":
        key = series_key(attributes)
        with self._lock:
            known = self._series.setdefault(instrument, {})
            series = known.get(key)
            if series is None:
                labels: Mapping[str, Any] = dict(attributes)
                if len(known) >= self._limit:
                    labels = overflow(attributes)
                    key = series_key(labels)
                series = known.get(key)
                if series is None:
                    series = known[key] = make_series(instrument, labels)
        return series

    def collect(self, now: int | None = None) -> list[Metric]:
        """Collect all series; instruments without samples are omitted.

        Args:
            now: time of the collection, in nanoseconds since the Unix epoch; by default
                the current time.
        """
        now = time_ns() if now is None else now
        metrics = []
        with self._lock:
            rows = [(row, list(known.values())) for row, known in self._series.items()]
        for row, known in rows:
            points = [p for p in (series.point(now) for series in known) if p]
            if points:
                metrics.append(
                    Metric(row.name, row.description, row.unit, _DATA[row.kind](points))
                )
        return metrics


def series_key(attributes: Mapping[str, Any]) -> Key:
    """What identifies a series of an instrument."""
    return tuple(sorted(attributes.items()))


def overflow(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes of the overflow series that takes a series beyond the limit.

    Example:
        >>> overflow({"evmon.event.type": "a", "error.type": "ValueError"})
        {'otel.metric.overflow': True, 'error.type': 'ValueError'}
    """
    kept = {key: attributes[key] for key in _KEPT if key in attributes}
    return {**OVERFLOW, **kept}


class Series(Protocol):
    """Records values and aggregates them into one sample."""

    record: Record

    def point(self, now: int) -> Point | None:
        """The sample; None if there is none."""
        ...


class _Buffer:
    """Buffers recorded values until they are aggregated.

    Args:
        aggregate: function that aggregates the buffered values, in order; never called
            concurrently.
    """

    def __init__(self, aggregate: Callable[[list[float]], None]) -> None:
        self._values: list[float] = []
        self._aggregate = aggregate
        self.lock = threading.Lock()

    def recorder(self) -> Record:
        """The function that records a value; a closure for speed."""
        values = self._values
        append, flush = values.append, self._flush_if_free

        def record(value: float) -> None:
            append(value)
            if len(values) >= FLUSH_AT:
                flush()

        return record

    def recorder_of_many(self) -> RecordMany:
        """The function that records several values."""
        values = self._values
        extend, flush = values.extend, self._flush_if_free

        def record_many(new: Sequence[float]) -> None:
            extend(new)
            if len(values) >= FLUSH_AT:
                flush()

        return record_many

    def flush(self) -> None:
        """Aggregate all buffered values; the caller holds the lock."""
        values = self._values
        # Other threads only append, so exactly the copied values are deleted.
        taken = values[: len(values)]
        del values[: len(taken)]
        if taken:
            self._aggregate(taken)

    def _flush_if_free(self) -> None:
        # Never wait: in a finalizer, this thread itself may hold the lock.
        if self.lock.acquire(blocking=False):
            try:
                self.flush()
            finally:
                self.lock.release()


class _Total:
    """A counter or an up-down counter: the sum of what was added."""

    def __init__(self, row: Instrument, attributes: Mapping[str, Any]) -> None:
        self._row = row
        self._attributes = attributes
        self._start = time_ns()
        self._lowest = 0.0 if row.kind is Kind.COUNTER else -inf
        self._total: float = 0
        self._buffer = _Buffer(self._aggregate)
        self.record = self._buffer.recorder()

    def _aggregate(self, values: list[float]) -> None:
        change = sum(values)
        if not isfinite(change) or min(values) < self._lowest:
            change = sum(_valid(self._row, values, self._lowest))
        self._total += change

    def point(self, now: int) -> Point:
        with self._buffer.lock:
            self._buffer.flush()
            total = self._total
        return NumberDataPoint(self._attributes, self._start, now, total)


class _Distribution:
    """A histogram: bucket counts, sum, minimum and maximum."""

    def __init__(self, row: Instrument, attributes: Mapping[str, Any]) -> None:
        self._row = row
        self._attributes = attributes
        self._start = time_ns()
        self._counts = [0] * (len(row.boundaries) + 1)
        self._sum: float = 0
        self._min = inf
        self._max = -inf
        self._buffer = _Buffer(self._aggregate)
        self.record = self._buffer.recorder()
        self.record_many = self._buffer.recorder_of_many()

    def _aggregate(self, values: list[float]) -> None:
        change = sum(values)
        if not isfinite(change) or min(values) < 0:
            values = _valid(self._row, values, 0.0)
            if not values:
                return
            change = sum(values)
        self._sum += change
        # Sorted, one search per bucket suffices: faster than one per value.
        values.sort()
        self._min = min(self._min, values[0])
        self._max = max(self._max, values[-1])
        boundaries, counts = self._row.boundaries, self._counts
        at = 0
        bucket = bisect_left(boundaries, values[0])
        while bucket < len(boundaries) and at < len(values):
            end = bisect_right(values, boundaries[bucket], at)
            counts[bucket] += end - at
            at = end
            bucket += 1
        counts[bucket] += len(values) - at

    def point(self, now: int) -> Point | None:
        with self._buffer.lock:
            self._buffer.flush()
            counts = tuple(self._counts)
            total, low, high = self._sum, self._min, self._max
        count = sum(counts)
        if not count:
            return None
        bounds = self._row.boundaries
        return HistogramDataPoint(
            *(self._attributes, self._start, now, count, total, counts, bounds),
            *(low, high),
        )


class _LastValue:
    """A gauge: its last value; NaN means no sample."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._attributes = attributes
        self._value = [nan]
        self.record: Record = partial(self._value.__setitem__, 0)

    def point(self, now: int) -> Point | None:
        (value,) = self._value
        if not isfinite(value):
            return None
        # A gauge has no start time, as in the SDK.
        return NumberDataPoint(self._attributes, None, now, value)  # type: ignore[arg-type]


def make_series(row: Instrument, attributes: Mapping[str, Any]) -> Series:
    """Make a series of an instrument, without values."""
    if row.kind in (Kind.COUNTER, Kind.UP_DOWN_COUNTER):
        return _Total(row, attributes)
    if row.kind is Kind.HISTOGRAM:
        return _Distribution(row, attributes)
    if row.kind is Kind.GAUGE:
        return _LastValue(attributes)
    raise ValueError(f"{row.name} is observed, not recorded")


def _valid(row: Instrument, values: list[float], lowest: float) -> list[float]:
    """The valid values; others are ignored with a warning, as in the SDK."""
    valid = [value for value in values if isfinite(value) and value >= lowest]
    if len(valid) < len(values):
        invalid = len(values) - len(valid)
        _log.warning("ignored %d invalid values of %s", invalid, row.name)
    return valid


_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE
_DATA: Final[Mapping[Kind, Callable[[Sequence[Any]], "Sum | Histogram | Gauge"]]] = {
    Kind.COUNTER: partial(Sum, aggregation_temporality=_CUMULATIVE, is_monotonic=True),
    Kind.UP_DOWN_COUNTER: partial(
        Sum, aggregation_temporality=_CUMULATIVE, is_monotonic=False
    ),
    Kind.HISTOGRAM: partial(Histogram, aggregation_temporality=_CUMULATIVE),
    Kind.GAUGE: Gauge,
}
