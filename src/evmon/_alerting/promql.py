"""Builds the PromQL fragments that rules and dashboards share."""

from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument
from evmon._telemetry.naming import prometheus_label, prometheus_name

JOB = "job"
INSTANCE = "instance"
DESTINATION = prometheus_label(i.DESTINATION)
GROUP = prometheus_label(i.GROUP)
PER_INSTANCE = (JOB, INSTANCE)
PER_DESTINATION = (JOB, DESTINATION)
PER_GROUP = (JOB, DESTINATION, GROUP)

ON_INSTANCE = f"on ({', '.join(PER_INSTANCE)})"
ON_GROUP = f"on ({', '.join(PER_GROUP)})"

CACHE_HIT = f'{prometheus_label(i.CACHE_RESULT)}="hit"'
WITH_ERROR = f'{prometheus_label(i.ERROR_TYPE)}!=""'
WITH_HANDLER = f'{prometheus_label(i.HANDLER)}!=""'
"""Selects evmon's series where other programs follow the same semantic convention."""

UPTIME = prometheus_name(i.UPTIME)

SCRAPE_INTERVAL_SECONDS = 15
"""The scrape interval that the rules are written and tested for."""


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


def increase_or_total(total: str, increase: str, window_seconds: float) -> str:
    """Return a counter's increase, or its total for a process younger than the window.

    An increase over a range of samples misses what was counted before the first scrape,
    such as a failure at startup. A process younger than the window counted all of its
    total within the window.

    Args:
        total: counter, summed per process.
        increase: increase of the counter in the window, summed per process.
        window_seconds: length of the window.
    """
    young = f"{ON_INSTANCE} {UPTIME} < {number(window_seconds)}"
    return f"(\n{total} and {young}\nor {increase}\n)"


def exact_increase(counter: str, window_seconds: float) -> str:
    """Return the increase of a counter between the samples of the window.

    `increase` extrapolates: 10 events become 10.5 or 12. Without a restart the minimum
    is the oldest sample; after one the process is young, see `increase_or_total`.

    Args:
        counter: counter that does not decrease while its process runs.
        window_seconds: length of the window.
    """
    window = f"[{duration(window_seconds)}]"
    return f"last_over_time({counter}{window}) - min_over_time({counter}{window})"


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
