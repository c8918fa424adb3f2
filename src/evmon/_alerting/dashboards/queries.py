"""Figures that several panels of the dashboard *Overview* draw."""

from evmon._alerting.dashboards.panels import PROCESS, RATE, Limit, rate
from evmon._alerting.promql import PER_INSTANCE, by, series
from evmon._alerting.rules.recording import HIT
from evmon._settings.thresholds import BYTES_PER_MB, Thresholds
from evmon._telemetry import instruments as i

HANDLERS = series(i.DISCOVERY_HANDLERS, PROCESS)
WHO = "{{job}} {{instance}}"


def hit_rate_lines(limits: Thresholds) -> tuple[Limit, ...]:
    """The limits of the hit rate."""
    return (
        Limit(limits.cache_hit_rate_warning_percent, "yellow"),
        Limit(limits.cache_hit_rate_critical_percent, "red"),
    )


def memory_lines(limits: Thresholds) -> tuple[Limit, ...]:
    """The limits of the memory."""
    return (
        Limit(limits.memory_warning_mb * BYTES_PER_MB, "yellow"),
        Limit(limits.memory_critical_mb * BYTES_PER_MB, "red"),
    )


def hit_rate(labels: tuple[str, ...]) -> str:
    """The share of lookups that found an entry, in percent."""
    hits = rate(i.CACHE_LOOKUPS, f"{PROCESS},{HIT}", labels)
    return f"100 * {hits} / ({rate(i.CACHE_LOOKUPS, PROCESS, labels)} > 0)"


def batch_average(labels: tuple[str, ...]) -> str:
    """The average time of a batch, in milliseconds."""
    row = i.DISCOVERY_BATCH_DURATION
    seconds = rate(row, PROCESS, labels, "_sum")
    return f"1000 * {seconds} / ({rate(row, PROCESS, labels, '_count')} > 0)"


def recent_retries() -> str:
    """The monitor's own count; over OTLP, where there is none, the nearest to it."""
    counted = f"increase({series(i.RETRY_ATTEMPTS, PROCESS)}[{RATE}])"
    recent = by(PER_INSTANCE, f"evmon_retries_recent{{{PROCESS}}}", "max")
    return f"{recent} or {by(PER_INSTANCE, counted)}"
