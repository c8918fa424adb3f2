"""Small pieces of PromQL that the rules and the dashboards share; pure text."""

from evmon._telemetry import instruments as i
from evmon._telemetry.instruments import Instrument
from evmon._telemetry.naming import prometheus_label, prometheus_name

JOB = "job"
INSTANCE = "instance"
PER_INSTANCE = (JOB, INSTANCE)
DESTINATION = prometheus_label(i.DESTINATION)
GROUP = prometheus_label(i.GROUP)
PER_DESTINATION = (JOB, DESTINATION)
PER_GROUP = (JOB, DESTINATION, GROUP)


UPTIME = prometheus_name(i.UPTIME)


def series(row: Instrument, selector: str = "", suffix: str = "") -> str:
    """The name of an instrument's series, with a selector.

    Args:
        row: of the table.
        selector: what stands between the braces, if anything.
        suffix: ``_bucket``, ``_sum`` or ``_count`` of a histogram.

    Example:
        >>> series(i.CACHE_LOOKUPS, 'evmon_cache_result="hit"')
        'evmon_cache_lookups_total{evmon_cache_result="hit"}'
    """
    braces = f"{{{selector}}}" if selector else ""
    return f"{prometheus_name(row)}{suffix}{braces}"


def by(labels: tuple[str, ...], expression: str, operation: str = "sum") -> str:
    """Aggregate an expression, keeping `labels`."""
    if not labels:
        return f"{operation}({expression})"
    return f"{operation} by ({', '.join(labels)}) ({expression})"


def recent(total: str, grown: str, window_seconds: float) -> str:
    """What a counter of each process counted in the window.

    No range of samples shows what came before the first of them, such as a failure while
    a process starts: what a young process counted, it counted just now.

    Args:
        total: the counter, summed for each process.
        grown: by how much it grew in the window, summed for each process.
        window_seconds: how far to look back.
    """
    young = f"on (job, instance) {UPTIME} < {number(window_seconds)}"
    return f"(\n{total} and {young}\nor {grown}\n)"


def growth(counter: str, window_seconds: float) -> str:
    """By how much a counter grew in the window, to the event.

    Prometheus' `increase` reaches beyond its samples: of 10 events it makes 10.5, or 12.
    The least value is the oldest one, unless the process restarted in the window; then it
    is young, which `recent` knows.
    """
    window = f"[{duration(window_seconds)}]"
    return f"last_over_time({counter}{window}) - min_over_time({counter}{window})"


def duration(seconds: float) -> str:
    """Seconds as Prometheus writes a duration.

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
    """A number as people write it: no ``.0``, no exponent."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
