"""PromQL and limit lines that several panels of the dashboard *Overview* use."""

from evmon._alerting.dashboards.panels import PROCESS, RATE, Limit, rate
from evmon._alerting.promql import CACHE_HIT, PER_BUS, by, series
from evmon._settings.thresholds import BYTES_PER_MB, Thresholds
from evmon._telemetry import instruments as i

HANDLERS = series(i.DISCOVERY_HANDLERS, PROCESS)


def hit_rate_limits(limits: Thresholds) -> tuple[Limit, ...]:
    """Return the limit lines of the cache hit rate, in percent."""
    return (
        Limit(limits.cache_hit_rate_warning_percent, "yellow"),
        Limit(limits.cache_hit_rate_critical_percent, "red"),
    )


def memory_limits(limits: Thresholds) -> tuple[Limit, ...]:
    """Return the limit lines of resident memory, in bytes."""
    return (
        Limit(limits.memory_warning_mb * BYTES_PER_MB, "yellow"),
        Limit(limits.memory_critical_mb * BYTES_PER_MB, "red"),
    )


def hit_rate(labels: tuple[str, ...]) -> str:
    """Return the share of cache lookups that were hits, in percent."""
    hits = rate(i.CACHE_LOOKUPS, f"{PROCESS},{CACHE_HIT}", labels)
    return f"100 * {hits} / ({rate(i.CACHE_LOOKUPS, PROCESS, labels)} > 0)"


def batch_average(labels: tuple[str, ...]) -> str:
    """Return the average duration of a discovery batch, in milliseconds."""
    instrument = i.DISCOVERY_BATCH_DURATION
    seconds = rate(instrument, PROCESS, labels, "_sum")
    return f"1000 * {seconds} / ({rate(instrument, PROCESS, labels, '_count')} > 0)"


def recent_retries() -> str:
    """Return the retries in the window, as the monitor counts them.

    Over OTLP the monitor's gauge is missing: then it is the counter's increase.
    """
    increase = f"increase({series(i.RETRY_ATTEMPTS, PROCESS)}[{RATE}])"
    gauge = by(PER_BUS, f"evmon_retries_recent{{{PROCESS}}}", "max")
    return f"{gauge} or {by(PER_BUS, increase)}"
