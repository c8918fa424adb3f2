"""A meter over the instruments of an application's `MeterProvider`.

Several buses, and several readers, may share the provider. A counter or histogram is
accumulated by the SDK. The state of a bus, such as its number of handlers, is observed
when a reader collects: then it is right for a reader that was added later, and gone
when the bus has stopped.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.metrics import Meter as OTelMeter
from opentelemetry.sdk.metrics.export import NumberDataPoint  # noqa: TID251 - as below

from evmon._telemetry.buffered_meter import (
    CARDINALITY_LIMIT,
    Key,
    Series,
    make_series,
    overflow,
    series_key,
)
from evmon._telemetry.instrument import Instrument, Kind
from evmon._telemetry.meter import Attributes, Record, RecordMany

MAX_SERIES: Final = CARDINALITY_LIMIT - 100
"""Series per instrument, below the limit of the SDK, whose own overflow series loses
which calls failed."""

_STATE: Final = (Kind.GAUGE, Kind.UP_DOWN_COUNTER)

_log = logging.getLogger("evmon.telemetry")


class InstrumentMeter:
    """A meter over plain OpenTelemetry instruments.

    Args:
        meter: meter of the `MeterProvider` in use.
        shared: what all buses on that provider share.
    """

    def __init__(self, meter: OTelMeter, shared: "Shared | None" = None) -> None:
        self._shared = shared or Shared(meter)
        self._shared.members.append(self)
        self.states: dict[Instrument, dict[Key, Series]] = {}
        self.before_observe: list[Callable[[], None]] = []

    def close(self) -> None:
        """Withdraw the state, so that later collections do not show stale values."""
        if self in self._shared.members:
            self._shared.members.remove(self)

    def bind(self, instrument: Instrument, attributes: Attributes = {}) -> Record:
        """Return the function that records into one series."""
        admitted = self._shared.admit(instrument, attributes)
        if instrument.kind in _STATE:
            return self._state(instrument, admitted)
        plain = self._shared.instrument(instrument)
        if instrument.kind is Kind.COUNTER:
            series: Record = partial(plain.add, attributes=dict(admitted))
            series(0)
            return series
        return partial(plain.record, attributes=dict(admitted))

    def bind_many(
        self, instrument: Instrument, attributes: Attributes = {}
    ) -> RecordMany:
        """Return the function that records several values into one series."""
        record = self.bind(instrument, attributes)

        def record_many(values: Sequence[float]) -> None:
            for value in values:
                record(value)

        return record_many

    def _state(self, row: Instrument, attributes: Mapping[str, Any]) -> Record:
        known = self.states.get(row)
        if known is None:
            known = self.states[row] = {}
            self._shared.instrument(row)
        key = series_key(attributes)
        if key not in known:
            known[key] = make_series(row, attributes)
        return known[key].record


class Shared:
    """What the meters of all buses on one `MeterProvider` share.

    A synchronous gauge of the SDK cannot drop a sample, and a synchronous up-down counter
    starts at 0 for each reader. Observable ones show what their callback returns. The
    callback cannot be removed, so there is one per instrument that asks open meters.

    Args:
        meter: meter of the provider.
        limit: maximum number of series per instrument.
    """

    def __init__(self, meter: OTelMeter, limit: int = MAX_SERIES) -> None:
        self.members: list[InstrumentMeter] = []
        self._meter = meter
        self._limit = limit
        # Re-entrant: a finalizer may bind while this thread is binding.
        self._lock = threading.RLock()
        self._instruments: dict[Instrument, Any] = {}
        self._series: dict[Instrument, set[Key]] = {}
        self._began: dict[str, float] = {}

    def began(self, bus: str, now: float) -> float:
        """When the first bus of this name started on the provider.

        The SDK keeps its counters: those of a bus that is started again are older than it.
        """
        with self._lock:
            return self._began.setdefault(bus, now)

    def admit(self, row: Instrument, attributes: Attributes) -> Mapping[str, Any]:
        """The attributes, or those of an overflow series beyond the limit."""
        key = series_key(attributes)
        with self._lock:
            known = self._series.setdefault(row, set())
            if key not in known:
                if len(known) >= self._limit:
                    return overflow(attributes)
                known.add(key)
        return attributes

    def instrument(self, row: Instrument) -> Any:
        """The instrument of the SDK, made once."""
        with self._lock:
            made = self._instruments.get(row)
            if made is None:
                made = self._instruments[row] = self._make(row)
        return made

    def _make(self, row: Instrument) -> Any:
        meter, what = self._meter, (row.unit, row.description)
        observe = [partial(self._observe, row)]
        if row.kind is Kind.COUNTER:
            return meter.create_counter(row.name, *what)
        if row.kind is Kind.UP_DOWN_COUNTER:
            return meter.create_observable_up_down_counter(row.name, observe, *what)
        if row.kind is Kind.GAUGE:
            return meter.create_observable_gauge(row.name, observe, *what)
        if row.kind is Kind.HISTOGRAM:
            return meter.create_histogram(
                row.name, *what, explicit_bucket_boundaries_advisory=row.boundaries
            )
        raise ValueError(f"{row.name} is observed, not recorded")

    def _observe(self, row: Instrument, _: CallbackOptions) -> Iterable[Observation]:
        """The series that have a value, each once.

        Buses of one name share their series: counts are added up, and of other values
        the lowest counts, so that one bus that is not ready is not hidden by another.
        """
        combine = min if row.kind is Kind.GAUGE else _sum
        values: dict[Key, float] = {}
        for member in list(self.members):
            for key, value in _values(member, row):
                values[key] = combine(values[key], value) if key in values else value
        return [Observation(value, dict(key)) for key, value in values.items()]


def _values(member: InstrumentMeter, row: Instrument) -> Iterable[tuple[Key, float]]:
    known = member.states.get(row)
    if known is None:
        return
    try:
        for record in member.before_observe:
            record()
    except Exception:  # noqa: BLE001 - the values of other buses are still shown
        _log.exception("cannot update %s before it is observed", row.name)
    for key, series in list(known.items()):
        point = series.point(0)
        if isinstance(point, NumberDataPoint):
            yield key, point.value


def _sum(one: float, other: float) -> float:
    return one + other
