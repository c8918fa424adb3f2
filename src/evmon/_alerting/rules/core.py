"""Alerts on cache, memory and discovery."""

from evmon._alerting.promql import PER_BUS, PER_TARGET, by, duration, on, series
from evmon._alerting.rules import recording
from evmon._alerting.rules.alert import Alert, Severity
from evmon._alerting.rules.recording import windowed
from evmon._alerting.rules.scrapes import CARRY_SECONDS, carried, last_value
from evmon._alerting.rules.services import EVMON_PROCESS
from evmon._monitor.findings import CACHE_HIT_RATE, MEMORY, PROCESSING
from evmon._settings.thresholds import BYTES_PER_MB, Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.naming import prometheus_label

_OUTCOME = prometheus_label(i.DISCOVERY_OUTCOME)


def core_alerts(limits: Thresholds) -> tuple[Alert, ...]:
    """Return the alerts that apply to every service, whatever its transport."""
    return (
        _cache_hit_rate_low(limits, "warning", limits.cache_hit_rate_warning_percent),
        _cache_hit_rate_low(limits, "critical", limits.cache_hit_rate_critical_percent),
        _memory_high("warning", limits.memory_warning_mb),
        _memory_high("critical", limits.memory_critical_mb),
        _processing_slow(limits),
        _batch_p95_high(limits),
        _discovery_failed(),
    )


def _cache_hit_rate_low(limits: Thresholds, severity: Severity, limit: float) -> Alert:
    ratio = last_value(windowed(recording.HIT_RATIO, limits))
    counted = windowed(recording.LOOKUPS_INCREASE, limits)
    # Between two bursts the number of lookups is 0, while the ratio has no sample.
    lookups = f"max_over_time({counted}[{duration(CARRY_SECONDS)}])"
    return Alert(
        name=CACHE_HIT_RATE.alert,
        severity=severity,
        metric=i.CACHE_LOOKUPS,
        expr=f"100 * {ratio}",
        op="<",
        limit=limit,
        unit=CACHE_HIT_RATE.unit,
        guard=f"{lookups} >= {limits.cache_min_lookups}",
        # One burst, such as the misses that fill the cache at startup, is over by then;
        # bursts that return are not, since the last ratio stands for the time between.
        hold_seconds=limits.window_seconds + CARRY_SECONDS,
        summary="The metadata cache of {{ $labels.instance }} misses too often",
        description="Too few lookups of a provider's metadata find an entry.",
        value_name="Hit rate",
        setting=f"cache_hit_rate_{severity}_percent",
    )


def _memory_high(severity: Severity, limit: float) -> Alert:
    usage = by(PER_TARGET, carried(series(i.PROCESS_MEMORY_USAGE)), "max")
    return Alert(
        name=MEMORY.alert,
        severity=severity,
        metric=i.PROCESS_MEMORY_USAGE,
        expr=f"{usage} / {BYTES_PER_MB}",
        limit=limit,
        unit=MEMORY.unit,
        # Other programs may have a metric of this name; the limit is not theirs.
        guard=f"{on(PER_TARGET)} {last_value(EVMON_PROCESS)}",
        hold_seconds=300,
        by=PER_TARGET,
        summary="{{ $labels.instance }} of {{ $labels.job }} uses too much memory",
        description="The process holds more memory than it should.",
        value_name="Resident memory",
        setting=f"memory_{severity}_mb",
    )


def _processing_slow(limits: Thresholds) -> Alert:
    batches = windowed(recording.BATCHES_INCREASE, limits)
    return Alert(
        name=PROCESSING.alert,
        severity="warning",
        metric=i.DISCOVERY_BATCH_DURATION,
        expr=f"1000 * {windowed(recording.BATCH_AVERAGE, limits)}",
        limit=limits.processing_warning_ms,
        unit=PROCESSING.unit,
        guard=f"{batches} >= {limits.processing_min_runs}",
        summary="Discovery in {{ $labels.instance }} is slow",
        description="On average, a batch of providers takes too long.",
        value_name="Average duration of a batch",
        setting="processing_warning_ms",
    )


def _batch_p95_high(limits: Thresholds) -> Alert:
    batches = windowed(recording.BATCHES_INCREASE, limits)
    return Alert(
        name="EvmonDiscoveryBatchP95High",
        severity="warning",
        metric=i.DISCOVERY_BATCH_DURATION,
        expr=f"1000 * {windowed(recording.BATCH_P95, limits)}",
        limit=limits.processing_warning_ms,
        unit=PROCESSING.unit,
        guard=f"{batches} >= {limits.batch_p95_min_runs}",
        summary="Some discovery batches in {{ $labels.instance }} are slow",
        description="One batch of providers in twenty takes too long.",
        value_name="95th percentile of a batch's duration",
        setting="processing_warning_ms",
    )


def _discovery_failed() -> Alert:
    failed = series(i.DISCOVERY_PROVIDERS, f'{_OUTCOME}="failed"')
    return Alert(
        name="EvmonDiscoveryFailed",
        severity="warning",
        metric=i.DISCOVERY_PROVIDERS,
        # The total, not an increase: the handlers are missing until the process restarts.
        expr=by(PER_BUS, carried(failed)),
        limit=0,
        summary="Discovery in {{ $labels.instance }} gave up on providers",
        description="The handlers of these providers are missing until the process"
        " restarts.",
        value_name="Providers given up since the start",
    )
