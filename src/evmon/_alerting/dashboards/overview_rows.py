"""Panels of the dashboard *Overview*: cache, memory, discovery and retries over time."""

from evmon._alerting.dashboards.panels import (
    BUS_LEGEND,
    PROCESS,
    PROCESS_LEGEND,
    TARGET,
    Limit,
    Panel,
    Query,
    heatmap,
    or_zero,
    quantiles,
    rate,
)
from evmon._alerting.dashboards.queries import (
    HANDLERS,
    batch_average,
    hit_rate,
    hit_rate_limits,
    memory_limits,
    recent_retries,
)
from evmon._alerting.promql import PER_BUS, by, series
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.naming import prometheus_label


def processes() -> tuple[Panel, ...]:
    """Return the panels on the processes themselves."""
    return (_uptime(), _overflowed_series())


def _uptime() -> Panel:
    return Panel(
        title="Uptime",
        description="Falls to 0 when a process restarts.",
        unit="s",
        queries=(Query(by(PER_BUS, series(i.UPTIME, PROCESS), "min"), BUS_LEGEND),),
        width=12,
        alerts=("EvmonRestarting",),
    )


def _overflowed_series() -> Panel:
    labels = f'{PROCESS},{prometheus_label("otel.metric.overflow")}!=""'
    overflowed = f'count({{__name__=~"evmon_.+|messaging_.+",{labels}}})'
    return Panel(
        title="Series that stand for many",
        description="Sets of attributes beyond the limit are counted together.",
        unit="short",
        queries=(Query(or_zero(overflowed), "series"),),
        width=12,
        alerts=("EvmonCardinalityOverflow",),
    )


def cache_and_memory(limits: Thresholds) -> tuple[Panel, ...]:
    """Return the panels on cache, memory and processor time."""
    return (
        _cache_hit_rate_by_process(limits),
        _cache_lookups(),
        _cache_entries_and_evictions(),
        _memory_by_process(limits),
        _processor(),
        _scan_of_a_provider(),
    )


def _cache_hit_rate_by_process(limits: Thresholds) -> Panel:
    return Panel(
        title="Cache hit rate by process",
        description="Below the yellow line EvmonCacheHitRateLow warns.",
        unit="percent",
        queries=(Query(hit_rate(PER_BUS), BUS_LEGEND),),
        limits=hit_rate_limits(limits),
        below=True,
        no_value="no lookups",
        alerts=("EvmonCacheHitRateLow",),
    )


def _cache_lookups() -> Panel:
    return Panel(
        title="Cache lookups",
        description="Lookups of a provider's metadata, by result.",
        unit="ops",
        queries=(
            Query(
                rate(i.CACHE_LOOKUPS, PROCESS, ("evmon_cache_result",)),
                "{{evmon_cache_result}}",
            ),
        ),
    )


def _cache_entries_and_evictions() -> Panel:
    return Panel(
        title="Cache entries and evictions",
        description="Entries now, and how many left in a second, by reason.",
        unit="short",
        queries=(
            Query(f"sum({series(i.CACHE_ENTRIES, PROCESS)})", "entries"),
            Query(
                rate(i.CACHE_EVICTIONS, PROCESS, ("evmon_cache_eviction_reason",)),
                "{{evmon_cache_eviction_reason}}/s",
            ),
        ),
    )


def _memory_by_process(limits: Thresholds) -> Panel:
    unique = f"evmon_process_memory_unique_bytes{{{TARGET}}}"
    return Panel(
        title="Memory by process",
        description="Resident, and what the process alone holds (unique)."
        " Above the yellow line EvmonMemoryHigh warns.",
        unit="decbytes",
        queries=(
            Query(
                f"{series(i.PROCESS_MEMORY_USAGE, TARGET)}"
                f" and on (job, instance) {HANDLERS}",
                f"{PROCESS_LEGEND} resident",
            ),
            Query(unique, f"{PROCESS_LEGEND} unique"),
        ),
        limits=memory_limits(limits),
        alerts=("EvmonMemoryHigh",),
    )


def _processor() -> Panel:
    return Panel(
        title="Processor",
        description="Seconds of processor time in a second, by mode.",
        unit="percent",
        queries=(
            Query(
                f"100 * {rate(i.PROCESS_CPU_TIME, TARGET, ('job', 'cpu_mode'))}",
                "{{job}} {{cpu_mode}}",
            ),
        ),
    )


def _scan_of_a_provider() -> Panel:
    return Panel(
        title="Scan of a provider",
        description="Time of a scan after a miss.",
        unit="s",
        queries=quantiles(i.CACHE_SCAN_DURATION, PROCESS),
        no_value="no scans",
    )


def discovery(limits: Thresholds) -> tuple[Panel, ...]:
    """Return the panels on discovery batches and providers."""
    return (
        _batch_duration(limits),
        _batch_duration_spread(),
        _average_batch_duration_by_process(limits),
        _queue(),
        _providers_by_outcome(),
        _last_run(),
    )


def _batch_duration(limits: Thresholds) -> Panel:
    instrument = i.DISCOVERY_BATCH_DURATION
    return Panel(
        title="Batch duration",
        description="Percentiles of a batch's time, in seconds."
        " Above the line EvmonDiscoveryBatchP95High warns.",
        unit="s",
        queries=quantiles(instrument, PROCESS),
        limits=(Limit(limits.processing_warning_ms / 1000, "yellow"),),
        no_value="no batches",
        alerts=("EvmonDiscoveryBatchP95High",),
    )


def _batch_duration_spread() -> Panel:
    instrument = i.DISCOVERY_BATCH_DURATION
    return Panel(
        title="Batch duration, spread",
        description="How many batches took how long.",
        unit="s",
        kind="heatmap",
        queries=heatmap(instrument, PROCESS),
    )


def _average_batch_duration_by_process(limits: Thresholds) -> Panel:
    return Panel(
        title="Average batch duration by process",
        description="Above the line EvmonDiscoveryProcessingSlow warns.",
        unit="ms",
        queries=(Query(batch_average(PER_BUS), BUS_LEGEND),),
        limits=(Limit(limits.processing_warning_ms, "yellow"),),
        no_value="no batches",
        alerts=("EvmonDiscoveryProcessingSlow",),
    )


def _queue() -> Panel:
    return Panel(
        title="Queue",
        description="Providers that wait to be looked at.",
        unit="short",
        queries=(
            Query(
                by(PER_BUS, series(i.DISCOVERY_QUEUE_SIZE, PROCESS)),
                BUS_LEGEND,
            ),
        ),
    )


def _providers_by_outcome() -> Panel:
    return Panel(
        title="Providers by outcome",
        description="What came of the providers that were looked at.",
        unit="ops",
        queries=(
            Query(
                rate(i.DISCOVERY_PROVIDERS, PROCESS, ("evmon_discovery_outcome",)),
                "{{evmon_discovery_outcome}}",
            ),
        ),
        alerts=("EvmonDiscoveryFailed",),
    )


def _last_run() -> Panel:
    return Panel(
        title="Last run",
        description="When a batch ended last.",
        unit="dateTimeFromNow",
        kind="stat",
        queries=(Query(f"1000 * max({series(i.DISCOVERY_LAST_RUN_TIME, PROCESS)})"),),
        minimum=None,
    )


def retries(limits: Thresholds) -> tuple[Panel, ...]:
    """Return the panels on retries and exhausted retries."""
    return (
        _retries_by_process(limits),
        _retries_by_component_and_error(),
        _given_up(),
    )


def _retries_by_process(limits: Thresholds) -> Panel:
    return Panel(
        title="Retries by process",
        description="In the last window. Above the line EvmonRetriesHigh warns.",
        unit="short",
        queries=(Query(recent_retries(), BUS_LEGEND),),
        limits=(Limit(limits.retries_warning, "yellow"),),
        alerts=("EvmonRetriesHigh",),
    )


def _retries_by_component_and_error() -> Panel:
    what = ("evmon_retry_component", "error_type")
    return Panel(
        title="Retries by component and error",
        description="What is tried again, and why.",
        unit="ops",
        queries=(
            Query(
                or_zero(rate(i.RETRY_ATTEMPTS, PROCESS, what), what[0]),
                "{{evmon_retry_component}} {{error_type}}",
            ),
        ),
    )


def _given_up() -> Panel:
    what = ("evmon_retry_component", "error_type")
    return Panel(
        title="Given up",
        description="Operations given up because no retry was left or none could"
        " heal them.",
        unit="ops",
        queries=(
            Query(
                or_zero(rate(i.RETRY_EXHAUSTED, PROCESS, what), what[0]),
                "{{evmon_retry_component}} {{error_type}}",
            ),
        ),
        alerts=("EvmonRetriesExhausted",),
    )
