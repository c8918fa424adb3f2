"""Meters: bind instruments to the series that components record into.

A component binds each series once, with its attributes, and calls it to record:
``hit = meter.bind(CACHE_LOOKUPS, {"evmon.cache.result": "hit"})`` … ``hit(1)``.
The meter decides whether OpenTelemetry's own instruments or a faster implementation
record the values.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import isnan
from typing import Protocol

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.metrics import Meter as OTelMeter

from evmon._telemetry.instrument import Instrument, Kind

Record = Callable[[float], None]
"""Adds to a counter, records in a histogram, or sets a gauge.

A gauge set to NaN has no sample until it is set to a number again.
"""

RecordMany = Callable[[Sequence[float]], None]
"""Records several values in a histogram, in one call."""

Attributes = Mapping[str, str]


class Meter(Protocol):
    """Binds instruments to attributes."""

    def bind(self, instrument: Instrument, attributes: Attributes = {}) -> Record:
        """Return the function that records into one series.

        The series of a counter starts at 0 right away, so that its first increment
        shows up as an increase.
        """
        ...

    def bind_many(
        self, instrument: Instrument, attributes: Attributes = {}
    ) -> RecordMany:
        """Return the function that records several values into a histogram series."""
        ...


class NoMeter:
    """A meter that measures nothing, for components used on their own."""

    def bind(
        self,
        instrument: Instrument,  # noqa: ARG002
        attributes: Attributes = {},  # noqa: ARG002
    ) -> Record:
        """Return a function without effect."""
        return _nothing

    def bind_many(
        self,
        instrument: Instrument,  # noqa: ARG002
        attributes: Attributes = {},  # noqa: ARG002
    ) -> RecordMany:
        """Return a function without effect."""
        return _nothing


class InstrumentMeter:
    """A meter over plain OpenTelemetry instruments.

    Args:
        meter: meter of the `MeterProvider` in use.
        gauges: gauges of that provider, if several buses share it.
    """

    def __init__(self, meter: OTelMeter, gauges: "Gauges | None" = None) -> None:
        self._meter = meter
        self._records: dict[Instrument, Callable[..., None]] = {}
        self._gauges = gauges or Gauges(meter)
        self._gauges.members.append(self)
        self.values: dict[Instrument, GaugeValues] = {}
        self.before_observe: list[Callable[[], None]] = []

    def close(self) -> None:
        """Withdraw the gauges, so that later collections do not show stale values."""
        self._gauges.members.remove(self)

    def bind(self, instrument: Instrument, attributes: Attributes = {}) -> Record:
        """Return the function that records into one series."""
        if instrument.kind is Kind.GAUGE:
            return self._gauge(instrument, attributes)
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
        """Return the function that records several values into one series."""
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

    def _gauge(self, row: Instrument, attributes: Attributes) -> Record:
        values = self.values.get(row)
        if values is None:
            values = self.values[row] = {}
            self._gauges.register(row)
        return partial(values.__setitem__, tuple(sorted(attributes.items())))


GaugeValues = dict[tuple[tuple[str, str], ...], float]
"""The last values of a gauge, by attributes."""


class Gauges:
    """The gauges of one `MeterProvider`, for all meters over it.

    A synchronous gauge of the SDK cannot drop a sample: set to NaN, it keeps showing
    its previous value. An observable gauge shows what its callback returns. The
    callback cannot be removed, so there is one per instrument that asks open meters.

    Args:
        meter: meter of the provider.
    """

    def __init__(self, meter: OTelMeter) -> None:
        self.members: list[InstrumentMeter] = []
        self._meter = meter
        self._registered: set[Instrument] = set()

    def register(self, row: Instrument) -> None:
        """Register an observable gauge with the provider, once."""
        if row not in self._registered:
            self._registered.add(row)
            self._meter.create_observable_gauge(
                row.name, [partial(self._observe, row)], row.unit, row.description
            )

    def _observe(self, row: Instrument, _: CallbackOptions) -> Iterable[Observation]:
        """The series that have a value."""
        observed = []
        for member in list(self.members):
            if row in member.values:
                for record in member.before_observe:
                    record()
                observed += [
                    Observation(value, dict(attributes))
                    for attributes, value in list(member.values[row].items())
                    if not isnan(value)
                ]
        return observed


def _nothing(_: object) -> None: ...
