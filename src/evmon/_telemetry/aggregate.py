"""Measuring in bulk: a meter that adds up by itself what its series recorded.

An OpenTelemetry instrument cleans, hashes and looks up its attributes at every call,
which takes several microseconds. Here a series is looked up once, when it is bound.
What it records goes to the end of a list, which is one step of the interpreter whatever
else runs: other threads, and the garbage collector's finalizers, can record into the
same series at any moment and nothing is lost, without a lock on the way. The list is
added up when it is long, and when somebody collects.
"""

import logging
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf, isfinite, nan
from time import time_ns
from typing import Any, Final, Protocol, TypeAlias

from opentelemetry.sdk.metrics.export import (  # noqa: TID251 - makes what it collects
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

from evmon._telemetry.instruments import Instrument, Kind
from evmon._telemetry.meter import Attributes, Record, RecordMany

CARDINALITY_LIMIT: Final = 2000
"""Series of an instrument at the most, as in the OpenTelemetry SDK."""

FOLD_AT: Final = 128
"""Measurements noted before they are added up: some kilobytes for a busy series."""

OVERFLOW: Final[Mapping[str, Any]] = {"otel.metric.overflow": True}
"""The attributes of the one series that takes what is beyond the limit."""

Point: TypeAlias = NumberDataPoint | HistogramDataPoint

_log = logging.getLogger("evmon.telemetry")


class AggregateMeter:
    """A meter whose series add up what they record, exactly.

    Binding the same attributes again returns the same series. Thread-safe.

    Args:
        limit: series of an instrument at the most; a series counts when it is bound.

    Example:
        >>> from evmon._telemetry.instruments import CACHE_LOOKUPS
        >>> meter = AggregateMeter()
        >>> meter.bind(CACHE_LOOKUPS, {"evmon.cache.result": "hit"})(2)
        >>> meter.collect()[0].data.data_points[0].value
        2
    """

    def __init__(self, limit: int = CARDINALITY_LIMIT) -> None:
        self._limit = limit
        # A finalizer may bind too, while this very thread does: hence re-entrant.
        self._lock = threading.RLock()
        self._series: dict[Instrument, dict[_Key, _Series]] = {}

    def bind(self, instrument: Instrument, attributes: Attributes = {}) -> Record:
        """Return the call that records into one series."""
        return self._bound(instrument, attributes).record

    def bind_many(
        self, instrument: Instrument, attributes: Attributes = {}
    ) -> RecordMany:
        """Return the call that records several values into one series of a histogram."""
        series = self._bound(instrument, attributes)
        if not isinstance(series, _Distribution):
            raise TypeError(f"{instrument.name} is no histogram")
        return series.record_many

    def _bound(self, instrument: Instrument, attributes: Attributes) -> "_Series":
        key = tuple(sorted(attributes.items()))
        with self._lock:
            known = self._series.setdefault(instrument, {})
            series = known.get(key)
            if series is None:
                carried: Mapping[str, Any] = dict(attributes)
                if len(known) >= self._limit:
                    key, carried = tuple(OVERFLOW.items()), OVERFLOW
                series = known.setdefault(key, _make(instrument, carried))
        return series

    def collect(self, now: int | None = None) -> list[Metric]:
        """What all series hold; instruments of which none has a sample are left out.

        Args:
            now: time of the collection, in nanoseconds of Unix time.
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


_Key: TypeAlias = "tuple[tuple[str, Any], ...]"


class _Series(Protocol):
    record: Record

    def point(self, now: int) -> Point | None:
        """The sample; None when there is none."""
        ...


class _Noted:
    """What was recorded and is not added up yet.

    Args:
        add_up: is given what was noted, in order; never twice at the same time.
    """

    def __init__(self, add_up: Callable[[list[float]], None]) -> None:
        self._values: list[float] = []
        self._add_up = add_up
        self.lock = threading.Lock()

    def recorder(self) -> Record:
        """The call that records: a closure, because it is the quickest."""
        values = self._values
        note, fold = values.append, self._fold_if_free

        def record(value: float) -> None:
            note(value)
            if len(values) >= FOLD_AT:
                fold()

        return record

    def recorder_of_many(self) -> RecordMany:
        """The call that records several values."""
        values = self._values
        note, fold = values.extend, self._fold_if_free

        def record_many(new: Sequence[float]) -> None:
            note(new)
            if len(values) >= FOLD_AT:
                fold()

        return record_many

    def fold(self) -> None:
        """Add up all that was noted; the lock is held."""
        values = self._values
        # Others only append, so what is taken and what is deleted are the same.
        taken = values[: len(values)]
        del values[: len(taken)]
        if taken:
            self._add_up(taken)

    def _fold_if_free(self) -> None:
        # Whoever adds up already may be this very thread, below a finalizer: never wait.
        if self.lock.acquire(blocking=False):
            try:
                self.fold()
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
        self._noted = _Noted(self._add_up)
        self.record = self._noted.recorder()

    def _add_up(self, values: list[float]) -> None:
        change = sum(values)
        if not isfinite(change) or min(values) < self._lowest:
            change = sum(_valid(self._row, values, self._lowest))
        self._total += change

    def point(self, now: int) -> Point:
        with self._noted.lock:
            self._noted.fold()
            total = self._total
        return NumberDataPoint(self._attributes, self._start, now, total)


class _Distribution:
    """A histogram: how many values fell into each bucket, their sum and extremes."""

    def __init__(self, row: Instrument, attributes: Mapping[str, Any]) -> None:
        self._row = row
        self._attributes = attributes
        self._start = time_ns()
        self._counts = [0] * (len(row.boundaries) + 1)
        self._sum: float = 0
        self._min = inf
        self._max = -inf
        self._noted = _Noted(self._add_up)
        self.record = self._noted.recorder()
        self.record_many = self._noted.recorder_of_many()

    def _add_up(self, values: list[float]) -> None:
        change = sum(values)
        if not isfinite(change) or min(values) < 0:
            values = _valid(self._row, values, 0.0)
            if not values:
                return
            change = sum(values)
        self._sum += change
        # Sorted, a bucket is a search for its end: quicker than one for each value.
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
        with self._noted.lock:
            self._noted.fold()
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
    """A gauge: what it was set to last; NaN is no sample."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._attributes = attributes
        self._value = [nan]
        self.record: Record = partial(self._value.__setitem__, 0)

    def point(self, now: int) -> Point | None:
        (value,) = self._value
        if not isfinite(value):
            return None
        # A gauge starts nowhere: the SDK leaves its start time out as well.
        return NumberDataPoint(self._attributes, None, now, value)  # type: ignore[arg-type]


def _make(row: Instrument, attributes: Mapping[str, Any]) -> _Series:
    if row.kind in (Kind.COUNTER, Kind.UP_DOWN_COUNTER):
        return _Total(row, attributes)
    if row.kind is Kind.HISTOGRAM:
        return _Distribution(row, attributes)
    if row.kind is Kind.GAUGE:
        return _LastValue(attributes)
    raise ValueError(f"{row.name} is observed, not recorded")


def _valid(row: Instrument, values: list[float], lowest: float) -> list[float]:
    """The values that count; the others are left out with a warning, as by the SDK."""
    valid = [value for value in values if isfinite(value) and value >= lowest]
    if len(valid) < len(values):
        left_out = len(values) - len(valid)
        _log.warning("%d impossible values of %s were left out", left_out, row.name)
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
