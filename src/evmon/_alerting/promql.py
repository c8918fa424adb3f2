"""Builds the PromQL fragments that rules and dashboards share."""

from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument
from evmon._telemetry.naming import prometheus_label, prometheus_name

JOB = "job"
INSTANCE = "instance"
BUS = prometheus_label(i.BUS)
DESTINATION = prometheus_label(i.DESTINATION)
GROUP = prometheus_label(i.GROUP)
PER_TARGET = (JOB, INSTANCE)
PER_SERVICE = (JOB, BUS)
PER_BUS = (JOB, INSTANCE, BUS)
PER_DESTINATION = (JOB, BUS, DESTINATION)
PER_GROUP = (JOB, BUS, DESTINATION, GROUP)
PER_CONSUMER = (JOB, INSTANCE, BUS, DESTINATION, GROUP)
SHARED_GROUP = (DESTINATION, GROUP)
"""Several services, each with a job name of its own, may share a consumer group."""


def on(labels: tuple[str, ...]) -> str:
    """Return the ``on`` clause that matches two vectors by labels.

    Example:
        >>> on(PER_TARGET)
        'on (job, instance)'
    """
    return f"on ({', '.join(labels)})"


CACHE_HIT = f'{prometheus_label(i.CACHE_RESULT)}="hit"'
WITH_ERROR = f'{prometheus_label(i.ERROR_TYPE)}!=""'
WITH_HANDLER = f'{prometheus_label(i.HANDLER)}!=""'
"""Selects evmon's series where other programs follow the same semantic convention."""

UPTIME = prometheus_name(i.UPTIME)

SCRAPE_INTERVAL_SECONDS = 15
"""The shortest scrape interval that the rules are tested with; the longest is 60 s."""


def series(instrument: Instrument, selector: str = "", suffix: str = "") -> str:
    """Return the name of an instrument's series, with a selector.

    Args:
        instrument: instrument from the table.
        selector: label matchers without braces; empty for none.
        suffix: ``_bucket``, ``_sum`` or ``_count`` of a histogram.

    Example:
        >>> series(i.CACHE_LOOKUPS, 'evmon_cache_result="hit"')
        'evmon_cache_lookups_total{evmon_cache_result="hit"}'
    """
    braces = f"{{{selector}}}" if selector else ""
    return f"{prometheus_name(instrument)}{suffix}{braces}"


def by(labels: tuple[str, ...], expression: str, operation: str = "sum") -> str:
    """Aggregate an expression by labels.

    Args:
        labels: labels to keep; empty aggregates everything into one series.
        expression: instant vector to aggregate.
        operation: aggregation operator.
    """
    if not labels:
        return f"{operation}({expression})"
    return f"{operation} by ({', '.join(labels)}) ({expression})"


def duration(seconds: float) -> str:
    """Format seconds as a Prometheus duration.

    Example:
        >>> duration(300), duration(90), duration(0.5)
        ('5m', '1m30s', '500ms')
    """
    left = round(seconds * 1000)
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        text += f"{left // size}{unit}" if left >= size else ""
        left %= size
    text += f"{left // 1000}s" if left >= 1000 else ""
    left %= 1000
    return text + (f"{left}ms" if left else "") or "0s"


def number(value: float) -> str:
    """Format a number without exponent and trailing zeros.

    Example:
        >>> number(300.0), number(0.000001)
        ('300', '0.000001')
    """
    return f"{value:.6f}".rstrip("0").rstrip(".")
