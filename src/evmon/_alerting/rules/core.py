"""Alerts about the cache, memory and discovery."""

from evmon._alerting.promql import PER_INSTANCE, by, duration, series
from evmon._alerting.rules import recording as r
from evmon._alerting.rules.alert import Alert, Input, Quiet, Severity, flow
from evmon._alerting.rules.services import ON, SERVICE, service
from evmon._monitor.findings import CACHE_HIT_RATE, MEMORY, PROCESSING
from evmon._settings.thresholds import BYTES_PER_MB, Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.naming import prometheus_label

_MISS = f'{prometheus_label(i.CACHE_RESULT)}="miss"'
_OUTCOME = prometheus_label(i.DISCOVERY_OUTCOME)


def core_alerts(limits: Thresholds) -> tuple[Alert, ...]:
    """The alerts of every service, whatever its transport."""
    return (
        _cache(limits, "warning", limits.cache_hit_rate_warning_percent),
        _cache(limits, "critical", limits.cache_hit_rate_critical_percent),
        _memory("warning", limits.memory_warning_mb),
        _memory("critical", limits.memory_critical_mb),
        _slow(limits),
        _some_slow(limits),
        _failed(),
    )


def _cache(limits: Thresholds, severity: Severity, limit: float) -> Alert:
    lookups, window = series(i.CACHE_LOOKUPS), duration(limits.window_seconds)
    traffic = by(PER_INSTANCE, f"increase({lookups}[{window}])")
    least = limits.cache_min_lookups

    def inputs(percent: float, total: float) -> tuple[Input, ...]:
        hits = total * percent / 100
        return (
            Input(series(i.CACHE_LOOKUPS, r.HIT), "counter", hits),
            Input(series(i.CACHE_LOOKUPS, _MISS), "counter", total - hits),
        )

    return Alert(
        name=CACHE_HIT_RATE.alert,
        severity=severity,
        metric=i.CACHE_LOOKUPS,
        expr=f"100 * {r.Names.of(limits).hit_ratio}",
        op="<",
        limit=limit,
        unit=CACHE_HIT_RATE.unit,
        guard=f"{traffic} >= {least}",
        # What fills the cache at the start misses, and leaves the window before.
        hold_seconds=limits.window_seconds + 60,
        summary="The metadata cache of {{ $labels.instance }} misses too often",
        tells="Too few lookups of a provider's metadata find an entry.",
        measure="Hit rate",
        inputs=lambda level: inputs(level, flow(least, limits)),
        quiet=(Quiet("with little traffic", lambda level: inputs(level, least - 1)),),
        setting=f"cache_hit_rate_{severity}_percent",
    )


def _memory(severity: Severity, limit: float) -> Alert:
    usage = series(i.PROCESS_MEMORY_USAGE)

    def used(level: float) -> Input:
        return Input(usage, "gauge", level * BYTES_PER_MB)

    return Alert(
        name=MEMORY.alert,
        severity=severity,
        metric=i.PROCESS_MEMORY_USAGE,
        expr=f"{by(PER_INSTANCE, usage, 'max')} / {BYTES_PER_MB}",
        limit=limit,
        unit=MEMORY.unit,
        # Other programs may show a metric of this name: only ours have the limit.
        guard=f"{ON} {SERVICE}",
        hold_seconds=300,
        summary="{{ $labels.instance }} of {{ $labels.job }} uses too much memory",
        tells="The process holds more memory than it should.",
        measure="Resident memory",
        inputs=lambda level: (used(level), service()),
        quiet=(Quiet("of another program", lambda level: (used(level),)),),
        setting=f"memory_{severity}_mb",
    )


def _slow(limits: Thresholds) -> Alert:
    names, least = r.Names.of(limits), limits.processing_min_runs
    row = i.DISCOVERY_BATCH_DURATION

    def inputs(level: float, batches: float) -> tuple[Input, ...]:
        return (
            Input(series(i.DISCOVERY_QUEUE_SIZE), "gauge", 0),
            Input(series(row, suffix="_count"), "counter", batches),
            Input(series(row, suffix="_sum"), "counter", batches * level / 1000),
        )

    few = Quiet("after few batches", lambda level: inputs(level, least - 1))
    return Alert(
        name=PROCESSING.alert,
        severity="warning",
        metric=row,
        expr=f"1000 * {names.batch_average}",
        limit=limits.processing_warning_ms,
        unit=PROCESSING.unit,
        guard=f"{names.batches} >= {least}",
        summary="Discovery in {{ $labels.instance }} is slow",
        tells="On average, a batch of providers takes too long.",
        measure="Average duration of a batch",
        inputs=lambda level: inputs(level, flow(least, limits)),
        quiet=(few,) if least > 1 else (),
        early=True,
        late=True,
        setting="processing_warning_ms",
    )


def _some_slow(limits: Thresholds) -> Alert:
    names, least = r.Names.of(limits), limits.batch_p95_min_runs
    row, limit_ms = i.DISCOVERY_BATCH_DURATION, limits.processing_warning_ms
    many = flow(least, limits)

    def inputs(level: float, count: float) -> tuple[Input, ...]:
        # All in the bucket that ends at twice the limit: its quantiles are known.
        low, high = limit_ms / 1000, 2 * limit_ms / 1000
        in_low = count if level <= limit_ms else 0.0
        bucket = series(row, suffix="_bucket")
        return (
            Input(series(row, suffix="_count"), "counter", count),
            Input(f'{bucket}{{le="{low:g}"}}', "counter", in_low),
            Input(f'{bucket}{{le="{high:g}"}}', "counter", count),
            Input(f'{bucket}{{le="+Inf"}}', "counter", count),
        )

    return Alert(
        name="EvmonDiscoveryBatchP95High",
        severity="warning",
        metric=row,
        expr=f"1000 * {names.batch_p95}",
        limit=limit_ms,
        unit=PROCESSING.unit,
        guard=f"{names.batches} >= {least}",
        summary="Some discovery batches in {{ $labels.instance }} are slow",
        tells="One batch of providers in twenty takes too long.",
        measure="95th percentile of a batch's duration",
        inputs=lambda level: inputs(level, many),
        quiet=(Quiet("after few batches", lambda level: inputs(level, least - 1)),),
        beyond=limit_ms + 0.95 * limit_ms,
        within=0.95 * limit_ms,
        early=True,
        setting="processing_warning_ms",
    )


def _failed() -> Alert:
    failed = series(i.DISCOVERY_PROVIDERS, f'{_OUTCOME}="failed"')
    found = series(i.DISCOVERY_PROVIDERS, f'{_OUTCOME}="registered"')
    return Alert(
        name="EvmonDiscoveryFailed",
        severity="warning",
        metric=i.DISCOVERY_PROVIDERS,
        # Not only of late: their handlers are missing for as long as the process runs.
        expr=by(PER_INSTANCE, failed),
        limit=0,
        summary="Discovery in {{ $labels.instance }} gave up on providers",
        tells="The handlers of these providers are missing until the process restarts.",
        measure="Providers given up since the start",
        inputs=lambda level: (Input(failed, "gauge", level),),
        quiet=(
            Quiet(
                "about those it found", lambda level: (Input(found, "gauge", level),)
            ),
        ),
        beyond=2,
        within=0,
    )
