"""From a row of the table to a series that a component can record into.

A component binds the series that it needs once, with their attributes, and calls them:
``hit = meter.bind(CACHE_LOOKUPS, {"evmon.cache.result": "hit"})`` … ``hit(1)``.
Whether OpenTelemetry's own instruments stand behind the call or something quicker is
for the meter to know.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import isnan
from typing import Protocol

from opentelemetry.metrics import Meter as OTelMeter

from evmon._telemetry.instruments import Instrument, Kind

Record = Callable[[float], None]
"""Adds to a counter, records in a histogram, or sets a gauge.

A gauge that is set to NaN has no sample, until it is set to a number again.
"""

Attributes = Mapping[str, str]


class Meter(Protocol):
    """Binds instruments to attributes."""

    def bind(self, instrument: Instrument, attributes: Attributes = {}) -> Record:
        """Return the call that records into one series.

        A counter's series exists at 0 from here on, so that its first increase is seen
        as one.
        """
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


class InstrumentMeter:
    """A meter over plain OpenTelemetry instruments.

    Args:
        meter: of the `MeterProvider` in use.
    """

    def __init__(self, meter: OTelMeter) -> None:
        self._meter = meter
        self._records: dict[Instrument, Callable[..., None]] = {}

    def bind(self, instrument: Instrument, attributes: Attributes = {}) -> Record:
        """Return the call that records into one series."""
        record = self._records.get(instrument)
        if record is None:
            record = self._records[instrument] = self._create(instrument)
        series: Record = partial(record, attributes=dict(attributes))
        if instrument.kind in (Kind.COUNTER, Kind.UP_DOWN_COUNTER):
            series(0)
        return series

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
        if row.kind is Kind.GAUGE:
            return _unless_nan(
                meter.create_gauge(row.name, row.unit, row.description).set
            )
        raise ValueError(f"{row.name} is observed, not recorded")


def _nothing(_: float) -> None: ...


def _unless_nan(record: Callable[..., None]) -> Callable[..., None]:
    """OpenTelemetry's gauge cannot take a sample back: it warns and keeps the last."""

    def call(value: float, attributes: Attributes) -> None:
        if not isnan(value):
            record(value, attributes)

    return call
