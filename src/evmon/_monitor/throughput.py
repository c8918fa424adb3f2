"""The record of throughput: one line for each interval, for logs that are searched."""

from collections.abc import Mapping
from typing import Final

from evmon._monitor.metrics import Totals

SHARE: Final = 0.99
"""Share of handler calls that took at most `handler_p99_ms`."""


def throughput(interval: Totals, seconds: float) -> dict[str, float | None]:
    """Events and handler calls of an interval, as fields of a log record.

    Args:
        interval: counters over the interval.
        seconds: length of the interval.
    """
    p99 = interval.handling.quantile(SHARE)
    return {
        "events_per_second": round(interval.events / seconds, 1) if seconds else 0.0,
        "handler_calls": interval.calls,
        "handler_errors": interval.failed_calls,
        "handler_p99_ms": None if p99 is None else round(1000 * p99, 1),
        "interval_seconds": round(seconds, 1),
    }


def throughput_line(fields: Mapping[str, float | None]) -> str:
    """The fields as ``name=value``; a value that is not known is left out.

    Example:
        >>> throughput_line({"events_per_second": 12.5, "handler_p99_ms": None})
        'events_per_second=12.5'
    """
    return " ".join(f"{k}={v}" for k, v in fields.items() if v is not None)
