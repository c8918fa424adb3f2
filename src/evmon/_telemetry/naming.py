"""Prometheus names of OpenTelemetry instruments; pure functions.

The rules follow "Prometheus and OpenMetrics Compatibility" of the OpenTelemetry
specification; a test compares them with the output of the exporter.
"""

import re
from typing import Final

from evmon._telemetry.instrument import Instrument, Kind

_UNITS: Final = {"s": "seconds", "By": "bytes", "ms": "milliseconds"}
_COUNTERS: Final = (Kind.COUNTER, Kind.OBSERVABLE_COUNTER)


def prometheus_name(row: Instrument) -> str:
    """The name of an instrument's series on ``/metrics``.

    The series of a histogram append ``_bucket``, ``_sum`` and ``_count``.

    Example:
        >>> from evmon._telemetry.instruments import CACHE_LOOKUPS
        >>> prometheus_name(CACHE_LOOKUPS)
        'evmon_cache_lookups_total'
    """
    name = prometheus_label(row.shown_as or row.name)
    unit = prometheus_unit(row)
    if unit and not name.endswith(f"_{unit}"):
        name = f"{name}_{unit}"
    return f"{name}_total" if row.kind in _COUNTERS else name


def prometheus_unit(row: Instrument) -> str:
    """The unit in Prometheus names; empty if there is none."""
    return _UNITS.get(row.unit, "")


def prometheus_label(attribute: str) -> str:
    """The Prometheus label of an attribute.

    Example:
        >>> prometheus_label("evmon.cache.result")
        'evmon_cache_result'
    """
    return re.sub(r"[^a-zA-Z0-9_]+", "_", attribute)
