"""Meters: bind instruments to the series that components record into.

A component binds each series once, with its attributes, and calls it to record:
``hit = meter.bind(CACHE_LOOKUPS, {"evmon.cache.result": "hit"})`` … ``hit(1)``.
The meter decides whether OpenTelemetry's own instruments or a faster implementation
record the values.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from evmon._telemetry.instrument import Instrument
from evmon._telemetry.instruments import BUS
from evmon._telemetry.labels import label

Record = Callable[[float], None]
"""Adds to a counter, records in a histogram, or sets a gauge.

A gauge set to NaN has no sample until it is set to a number again.
"""

RecordMany = Callable[[Sequence[float]], None]
"""Records several values in a histogram, in one call."""

Attributes = Mapping[str, str | int]


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


class BusMeter:
    """A meter whose series carry the name of a bus, as the attribute ``evmon.bus``.

    Args:
        meter: meter that binds the series.
        bus: name of the bus.
    """

    def __init__(self, meter: Meter, bus: str) -> None:
        self._meter = meter
        self._bus = {BUS: label(bus)}

    def bind(self, instrument: Instrument, attributes: Attributes = {}) -> Record:
        """Return the function that records into one series of the bus."""
        return self._meter.bind(instrument, {**attributes, **self._bus})

    def bind_many(
        self, instrument: Instrument, attributes: Attributes = {}
    ) -> RecordMany:
        """Return the function that records several values into a histogram series."""
        return self._meter.bind_many(instrument, {**attributes, **self._bus})


def _nothing(_: object) -> None: ...
