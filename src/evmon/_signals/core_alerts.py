"""Alerts about a process and what runs in it: those with a limit in the mission first."""

from evmon._monitor.findings import (
    CACHE_HIT_RATE,
    HANDLER_ERRORS,
    MEMORY,
    PROCESSING,
    RETRIES,
)
from evmon._signals import recording as r
from evmon._signals.alert import Alert, Input, Severity
from evmon._signals.promql import (
    JOB,
    PER_INSTANCE,
    UPTIME,
    by,
    duration,
    recent,
    series,
)
from evmon._telemetry import instruments as i
from evmon._telemetry.instruments import Instrument
from evmon._telemetry.naming import prometheus_label
from evmon._thresholds import BYTES_PER_MB, Thresholds

_SERVICE = series(i.DISCOVERY_HANDLERS)
_SEEN = f"last_over_time({r.SERVICE}[1d])"
_OUTCOME = prometheus_label(i.DISCOVERY_OUTCOME)
_COMPONENT = prometheus_label(i.RETRY_COMPONENT)
_ERROR = prometheus_label(i.ERROR_TYPE)
_MISS = f'{prometheus_label(i.CACHE_RESULT)}="miss"'
_OVERFLOW = prometheus_label("otel.metric.overflow")
_ON = "on (job, instance)"
_RESTARTS_OVER = 900.0
TRAFFIC = 10.0
"""How many times the least traffic the unit tests have, so that shares are whole."""


def core_alerts(limits: Thresholds) -> tuple[Alert, ...]:
    """The alerts of every service, whatever its transport."""
    return (
        *_targets(),
        _restarting(),
        *_cache(limits),
        *_memory(limits),
        *_discovery(limits),
        *_handlers(limits),
        _overflow(),
        _readiness(),
    )


def counted(row: Instrument, selector: str, limits: Thresholds) -> str:
    """How often something happened in the window, where all series are there at first."""
    counter, window = series(row, selector), limits.window_seconds
    grown = f"increase({counter}[{duration(window)}])"
    return recent(by(PER_INSTANCE, counter), by(PER_INSTANCE, grown), window)


def _counted(recorded: str, limits: Thresholds) -> str:
    """The same, of a sum that is recorded because its series come later."""
    window = limits.window_seconds
    return recent(recorded, f"increase({recorded}[{duration(window)}])", window)


def _targets() -> tuple[Alert, ...]:
    return (
        Alert(
            name="EvmonTargetDown",
            severity="critical",
            metric=None,
            expr="up",
            op="==",
            limit=0,
            guard=f"on (job) {r.SERVICE}",
            hold_seconds=120,
            summary="{{ $labels.instance }} of {{ $labels.job }} cannot be scraped",
            detail="Nothing is known about this process: /metrics does not answer",
            inputs=lambda level: (Input("up", "gauge", level), _service()),
            beyond=0,
            within=1,
        ),
        Alert(
            name="EvmonServiceAbsent",
            severity="critical",
            metric=i.DISCOVERY_HANDLERS,
            expr=(
                f"({_SEEN} unless on (job) group by (job) (up or {_SERVICE}))\n"
                f"or absent({_SEEN})"
            ),
            op="==",
            limit=1,
            hold_seconds=300,
            by=(JOB,),
            summary="No process of {{ $labels.job }} is known to Prometheus",
            detail="A service that was seen in the last day has no target any more",
            inputs=_presence,
            beyond=1,
            within=0,
        ),
    )


def _restarting() -> Alert:
    return Alert(
        name="EvmonRestarting",
        severity="warning",
        metric=i.UPTIME,
        expr=f"resets({UPTIME}[{duration(_RESTARTS_OVER)}])",
        limit=2,
        hold_seconds=0,
        summary="{{ $labels.instance }} of {{ $labels.job }} restarts again and again",
        detail=f"Restarts in the last {duration(_RESTARTS_OVER)}:",
        inputs=lambda level: (Input(UPTIME, "restarts", level),),
        beyond=4,
    )


def _presence(level: float) -> tuple[Input, ...]:
    if level:
        return (Input(_SERVICE, "gone", 3), Input("up", "gone", 1))
    return (_service(), Input("up", "gauge", 1))


def _service() -> Input:
    return Input(_SERVICE, "gauge", 3)


def _cache(limits: Thresholds) -> tuple[Alert, ...]:
    lookups, window = series(i.CACHE_LOOKUPS), duration(limits.window_seconds)
    traffic = by(PER_INSTANCE, f"increase({lookups}[{window}])")

    def inputs(percent: float, total: float) -> tuple[Input, ...]:
        hits = total * percent / 100
        return (
            Input(series(i.CACHE_LOOKUPS, r.HIT), "counter", hits),
            Input(series(i.CACHE_LOOKUPS, _MISS), "counter", total - hits),
        )

    def alert(severity: Severity, limit: float, setting: str) -> Alert:
        return Alert(
            name=CACHE_HIT_RATE.alert,
            severity=severity,
            metric=i.CACHE_LOOKUPS,
            expr=f"100 * {r.Names.of(limits).hit_ratio}",
            op="<",
            limit=limit,
            unit=CACHE_HIT_RATE.unit,
            guard=f"{traffic} >= {limits.cache_min_lookups}",
            # What fills the cache at the start misses, and leaves the window before.
            hold_seconds=limits.window_seconds + 60,
            summary="The metadata cache of {{ $labels.instance }} misses too often",
            detail="The hit rate is",
            inputs=lambda level: inputs(level, limits.cache_min_lookups * TRAFFIC),
            quiet=lambda level: inputs(level, limits.cache_min_lookups / 2),
            setting=setting,
        )

    return (
        alert(
            "warning",
            limits.cache_hit_rate_warning_percent,
            "cache_hit_rate_warning_percent",
        ),
        alert(
            "critical",
            limits.cache_hit_rate_critical_percent,
            "cache_hit_rate_critical_percent",
        ),
    )


def _memory(limits: Thresholds) -> tuple[Alert, ...]:
    usage = series(i.PROCESS_MEMORY_USAGE)

    def alert(severity: Severity, limit: float, setting: str) -> Alert:
        return Alert(
            name=MEMORY.alert,
            severity=severity,
            metric=i.PROCESS_MEMORY_USAGE,
            expr=f"{by(PER_INSTANCE, usage, 'max')} / {BYTES_PER_MB}",
            limit=limit,
            unit=MEMORY.unit,
            # Other programs may show a metric of this name: only ours have the limit.
            guard=f"{_ON} {_SERVICE}",
            hold_seconds=300,
            summary="{{ $labels.instance }} of {{ $labels.job }} holds much memory",
            detail="The resident memory is",
            inputs=lambda level: (
                Input(usage, "gauge", level * BYTES_PER_MB),
                _service(),
            ),
            quiet=lambda level: (Input(usage, "gauge", level * BYTES_PER_MB),),
            setting=setting,
        )

    return (
        alert("warning", limits.memory_warning_mb, "memory_warning_mb"),
        alert("critical", limits.memory_critical_mb, "memory_critical_mb"),
    )


def _discovery(limits: Thresholds) -> tuple[Alert, ...]:
    names, window = r.Names.of(limits), duration(limits.window_seconds)
    row, limit_ms = i.DISCOVERY_BATCH_DURATION, limits.processing_warning_ms
    batches = limits.processing_min_runs * TRAFFIC
    many = limits.batch_p95_min_runs * TRAFFIC

    def durations(level: float) -> tuple[Input, ...]:
        total = Input(series(row, suffix="_sum"), "counter", batches * level / 1000)
        return (
            Input(series(i.DISCOVERY_QUEUE_SIZE), "gauge", 0),
            Input(series(row, suffix="_count"), "counter", batches),
            total,
        )

    def buckets(level: float, count: float) -> tuple[Input, ...]:
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

    return (
        Alert(
            name=PROCESSING.alert,
            severity="warning",
            metric=row,
            expr=f"1000 * {names.batch_average}",
            limit=limit_ms,
            unit=PROCESSING.unit,
            guard=f"increase({r.BATCHES}[{window}]) >= {limits.processing_min_runs}",
            summary="Discovery of {{ $labels.instance }} is slow",
            detail="The average duration of a batch is",
            inputs=durations,
            setting="processing_warning_ms",
        ),
        Alert(
            name="EvmonDiscoveryBatchP95High",
            severity="warning",
            metric=row,
            expr=f"1000 * {names.batch_p95}",
            limit=limit_ms,
            unit=PROCESSING.unit,
            guard=f"increase({r.BATCHES}[{window}]) >= {limits.batch_p95_min_runs}",
            summary="Some batches of discovery of {{ $labels.instance }} are slow",
            detail="The 95th percentile of a batch's duration is",
            inputs=lambda level: buckets(level, many),
            quiet=lambda level: buckets(level, limits.batch_p95_min_runs / 2),
            beyond=limit_ms + 0.95 * limit_ms,
            within=0.95 * limit_ms,
            setting="processing_warning_ms",
        ),
        Alert(
            name="EvmonDiscoveryFailed",
            severity="warning",
            metric=i.DISCOVERY_PROVIDERS,
            expr=counted(i.DISCOVERY_PROVIDERS, f'{_OUTCOME}="failed"', limits),
            limit=0,
            summary="Discovery of {{ $labels.instance }} gave up providers",
            detail="Providers whose handlers are not registered in the last"
            f" {duration(limits.window_seconds)}:",
            inputs=lambda level: (
                Input(
                    series(i.DISCOVERY_PROVIDERS, f'{_OUTCOME}="failed"'),
                    "counter",
                    level,
                ),
            ),
            counts=True,
        ),
    )


def _handlers(limits: Thresholds) -> tuple[Alert, ...]:
    window = duration(limits.window_seconds)
    calls = series(i.PROCESS_DURATION, suffix="_count")
    minimum = limits.handler_errors_min_calls

    def errors(percent: float, total: float) -> tuple[Input, ...]:
        failed = total * percent / 100
        of = f'{prometheus_label(i.HANDLER)}="shop.charge"'
        return (
            Input(f'{calls}{{{of},{_ERROR}=""}}', "counter", total - failed),
            Input(f'{calls}{{{of},{_ERROR}="OSError"}}', "counter", failed),
        )

    def error_alert(severity: Severity, limit: float, setting: str) -> Alert:
        return Alert(
            name=HANDLER_ERRORS.alert,
            severity=severity,
            metric=i.PROCESS_DURATION,
            expr=f"100 * {r.Names.of(limits).error_ratio}",
            limit=limit,
            unit=HANDLER_ERRORS.unit,
            guard=f"increase({r.CALLS}[{window}]) >= {minimum}",
            summary="Handlers of {{ $labels.instance }} fail",
            detail="The share of handler calls that failed is",
            inputs=lambda level: errors(level, minimum * TRAFFIC),
            quiet=lambda level: errors(level, minimum / 2),
            setting=setting,
        )

    def by_component(row: Instrument, level: float) -> tuple[Input, ...]:
        labels = f'{_COMPONENT}="handler",{_ERROR}'
        return (
            Input(series(row, f'{labels}=""'), "counter", 0),
            Input(series(row, f'{labels}="OSError"'), "counter", level),
        )

    return (
        Alert(
            name=RETRIES.alert,
            severity="warning",
            metric=i.RETRY_ATTEMPTS,
            expr=_counted(r.RETRIES, limits),
            limit=limits.retries_warning,
            summary="{{ $labels.instance }} of {{ $labels.job }} retries a lot",
            detail=f"Retries in the last {window}:",
            inputs=lambda level: by_component(i.RETRY_ATTEMPTS, level),
            counts=True,
            setting="retries_warning",
        ),
        Alert(
            name="EvmonRetriesExhausted",
            severity="warning",
            metric=i.RETRY_EXHAUSTED,
            expr=_counted(r.EXHAUSTED, limits),
            limit=0,
            summary="{{ $labels.instance }} of {{ $labels.job }} gave up",
            detail=f"Operations given up in the last {window}:",
            inputs=lambda level: by_component(i.RETRY_EXHAUSTED, level),
            counts=True,
        ),
        error_alert(
            "warning",
            limits.handler_errors_warning_percent,
            "handler_errors_warning_percent",
        ),
        error_alert(
            "critical",
            limits.handler_errors_critical_percent,
            "handler_errors_critical_percent",
        ),
    )


def _overflow() -> Alert:
    overflowed = f'{{__name__=~"evmon_.+|messaging_.+",{_OVERFLOW}!=""}}'
    return Alert(
        name="EvmonCardinalityOverflow",
        severity="warning",
        metric=None,
        expr=by(PER_INSTANCE, overflowed, "count"),
        limit=0,
        guard=f"{_ON} {_SERVICE}",
        summary="{{ $labels.instance }} has more series than it may have",
        detail="What is beyond the limit of series is counted together. Series for it:",
        inputs=lambda level: (
            (
                Input(f'{series(i.RETRY_ATTEMPTS)}{{{_OVERFLOW}="true"}}', "gauge", 5),
                _service(),
            )
            if level
            else (_service(),)
        ),
        quiet=lambda _: (
            Input(f'{series(i.RETRY_ATTEMPTS)}{{{_OVERFLOW}="true"}}', "gauge", 5),
        ),
        beyond=1,
    )


def _readiness() -> Alert:
    return Alert(
        name="EvmonNotReady",
        severity="critical",
        metric=i.CONSUMER_READY,
        expr=by(PER_INSTANCE, series(i.CONSUMER_READY), "min"),
        op="==",
        limit=0,
        hold_seconds=120,
        summary="{{ $labels.instance }} of {{ $labels.job }} is not ready",
        detail="/readyz says no: the process runs and handles nothing",
        inputs=lambda level: (Input(series(i.CONSUMER_READY), "gauge", level),),
        beyond=0,
        within=1,
    )
