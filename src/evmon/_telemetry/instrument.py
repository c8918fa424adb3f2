"""An instrument: one row of the table in `instruments`."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """The kinds of OpenTelemetry instruments."""

    COUNTER = "counter"
    UP_DOWN_COUNTER = "up-down counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"
    OBSERVABLE_COUNTER = "observable counter"
    OBSERVABLE_UP_DOWN_COUNTER = "observable up-down counter"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One row of the table.

    Attributes:
        name: OpenTelemetry name.
        kind: kind of instrument.
        unit: UCUM unit.
        description: one sentence; the HELP line in Prometheus.
        attributes: attribute keys of its series.
        boundaries: bucket boundaries of a histogram, in the unit of the instrument.
        shown_as: name on ``/metrics``, if Prometheus does not allow `name`.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    boundaries: tuple[float, ...] = ()
    shown_as: str = ""
