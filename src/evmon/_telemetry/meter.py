"""From a row of the table to a series that a component can record into.

A component binds the series that it needs once, with their attributes, and calls them:
``hit = meter.bind(CACHE_LOOKUPS, {"evmon.cache.result": "hit"})`` … ``hit(1)``.
Whether OpenTelemetry's own instruments stand behind the call or something quicker is
for the meter to know.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import isnan
from typing import Protocol

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.metrics import Meter as OTelMeter

from evmon._telemetry.instruments import Instrument, Kind

Record = Callable[[float], None]
"""Adds to a counter, records in a histogram, or sets a gauge.

A gauge that is set to NaN has no sample, until it is set to a number again.
"""

RecordMany = Callable[[Sequence[float]], None]
"""Records several values in a histogram, in one call."""

Attributes = Mapping[str, str]


class Meter(Protocol):
    """Binds instruments to attributes."""

    def bind(self, instrument: Instrument, attributes: Attributes = {}) -> Record:
        """Return the call that records into one series.

        A counter's series exists at 0 from here on, so that its first increase is seen
        as one.
        """
        ...

    def bind_many(
        self, instrument: Instrument, attributes: Attributes = {}
    ) -> RecordMany:
        """Return the call that records several values into one series of a histogram."""
        ...


class NoMeter:
    """A meter that measures nothing, for parts used on their own."""

    def bind(
        self,
        instrument: Instrument,  # noqa: ARG002
        attributes: Attributes = {},  # noqa: ARG002
    ) -> Record:
        """Return a call without effect."""
        return _nothing

    def bind_many(
        self,
        instrument: Instrument,  # noqa: ARG002
        attributes: Attributes = {},  # noqa: ARG002
    ) -> RecordMany:
        """Return a call without effect."""
        return _nothing


class InstrumentMeter:
    """A meter over plain OpenTelemetry instruments.

    Args:
        meter: of the `MeterProvider` in use.
    """

    def __init__(self, meter: OTelMeter) -> None:
        self._meter = meter
        self._records: dict[Instrument, Callable[..., None]] = {}
        self._gauges: dict[Instrument, _Gauge] = {}

    def bind(self, instrument: Instrument, attributes: Attributes = {}) -> Record:
        """Return the call that records into one series."""
        if instrument.kind is Kind.GAUGE:
            return self._gauge(instrument).bind(attributes)
        record = self._records.get(instrument)
        if record is None:
            record = self._records[instrument] = self._create(instrument)
        series: Record = partial(record, attributes=dict(attributes))
        if instrument.kind in (Kind.COUNTER, Kind.UP_DOWN_COUNTER):
            series(0)
        return series

    def bind_many(
        self, instrument: Instrument, attributes: Attributes = {}
    ) -> RecordMany:
        """Return the call that records several values into one series."""
        record = self.bind(instrument, attributes)

        def record_many(values: Sequence[float]) -> None:
            for value in values:
                record(value)

        return record_many

    def _create(self, row: Instrument) -> Callable[..., None]:
        meter = self._meter
        if row.kind is Kind.COUNTER:
            return meter.create_counter(row.name, row.unit, row.description).add
        if row.kind is Kind.UP_DOWN_COUNTER:
            up_down = meter.create_up_down_counter(row.name, row.unit, row.description)
            return up_down.add
        if row.kind is Kind.HISTOGRAM:
            return meter.create_histogram(
                row.name,
                row.unit,
                row.description,
                explicit_bucket_boundaries_advisory=row.boundaries,
            ).record
        raise ValueError(f"{row.name} is observed, not recorded")

    def _gauge(self, row: Instrument) -> "_Gauge":
        gauge = self._gauges.get(row)
        if gauge is None:
            gauge = self._gauges[row] = _Gauge()
            self._meter.create_observable_gauge(
                row.name, [gauge.observe], row.unit, row.description
            )
        return gauge


class _Gauge:
    """The values that a gauge was set to last.

    A gauge of the SDK cannot forget: one that is set to NaN goes on to show what it was
    set to before. One that is observed shows what there is when somebody looks.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[tuple[str, str], ...], float] = {}

    def bind(self, attributes: Attributes) -> Record:
        """Return the call that sets one series."""
        return partial(self._values.__setitem__, tuple(sorted(attributes.items())))

    def observe(self, _: CallbackOptions) -> Iterable[Observation]:
        """The series that have a value."""
        return [
            Observation(value, dict(attributes))
            for attributes, value in list(self._values.items())
            if not isnan(value)
        ]


def _nothing(_: object) -> None: ...
