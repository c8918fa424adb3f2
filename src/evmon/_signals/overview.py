"""The dashboard *Overview*: the limits, and the parts that they are about."""

from evmon._signals.panels import (
    PROCESS,
    RATE,
    Board,
    Limit,
    Panel,
    Query,
    Row,
    heat,
    or_zero,
    quantiles,
    rate,
)
from evmon._signals.promql import PER_INSTANCE, by, series
from evmon._signals.recording import HIT
from evmon._telemetry import instruments as i
from evmon._thresholds import BYTES_PER_MB, Thresholds

_HANDLERS = series(i.DISCOVERY_HANDLERS, PROCESS)
_WHO = "{{job}} {{instance}}"


def overview(limits: Thresholds) -> Board:
    """The dashboard, with the lines where the limits are."""
    return Board(
        "evmon-overview",
        "evmon / Overview",
        "Is the service within its limits? Cache, memory, discovery, retries.",
        (
            Row("Limits", _limits(limits)),
            Row("Alerts", (_alerts(),)),
            Row("Metadata cache and memory", _cache_and_memory(limits)),
            Row("Discovery", _discovery(limits)),
            Row("Retries", _retries(limits)),
        ),
    )


def _hit_rate_lines(limits: Thresholds) -> tuple[Limit, ...]:
    return (
        Limit(limits.cache_hit_rate_warning_percent, "yellow"),
        Limit(limits.cache_hit_rate_critical_percent, "red"),
    )


def _memory_lines(limits: Thresholds) -> tuple[Limit, ...]:
    return (
        Limit(limits.memory_warning_mb * BYTES_PER_MB, "yellow"),
        Limit(limits.memory_critical_mb * BYTES_PER_MB, "red"),
    )


def _hit_rate(labels: tuple[str, ...]) -> str:
    hits = rate(i.CACHE_LOOKUPS, f"{PROCESS},{HIT}", labels)
    return f"100 * {hits} / ({rate(i.CACHE_LOOKUPS, PROCESS, labels)} > 0)"


def _average(labels: tuple[str, ...]) -> str:
    row = i.DISCOVERY_BATCH_DURATION
    seconds = rate(row, PROCESS, labels, "_sum")
    return f"1000 * {seconds} / ({rate(row, PROCESS, labels, '_count')} > 0)"


def _recent_retries() -> str:
    """The monitor's own count; over OTLP, where there is none, the nearest to it."""
    counted = f"increase({series(i.RETRY_ATTEMPTS, PROCESS)}[{RATE}])"
    recent = by(PER_INSTANCE, f"evmon_retries_recent{{{PROCESS}}}", "max")
    return f"{recent} or {by(PER_INSTANCE, counted)}"


def _limits(limits: Thresholds) -> tuple[Panel, ...]:
    return (
        Panel(
            title="Cache hit rate",
            description="Share of metadata lookups that found an entry."
            " Low: providers are scanned again and again.",
            unit="percent",
            kind="stat",
            queries=(Query(_hit_rate(())),),
            limits=_hit_rate_lines(limits),
            below=True,
            width=4,
            no_value="no lookups",
        ),
        Panel(
            title="Memory",
            description="Resident memory of the largest process.",
            unit="decbytes",
            kind="stat",
            queries=(
                Query(
                    f"max({series(i.PROCESS_MEMORY_USAGE, PROCESS)}"
                    f" and on (job, instance) {_HANDLERS})"
                ),
            ),
            limits=_memory_lines(limits),
            width=4,
        ),
        Panel(
            title="Discovery batch, average",
            description="Average time of a batch of providers.",
            unit="ms",
            kind="stat",
            queries=(Query(_average(())),),
            limits=(Limit(limits.processing_warning_ms, "yellow"),),
            width=4,
            no_value="no batches",
        ),
        Panel(
            title="Retries of the worst process",
            description="Retries in the last window; each process has the limit.",
            unit="short",
            kind="stat",
            queries=(Query(or_zero(f"max({_recent_retries()})")),),
            limits=(Limit(limits.retries_warning, "yellow"),),
            width=4,
        ),
        Panel(
            title="Not ready",
            description="Processes whose /readyz says no.",
            unit="short",
            kind="stat",
            queries=(
                Query(or_zero(f"count({series(i.CONSUMER_READY, PROCESS)} == 0)")),
            ),
            limits=(Limit(1, "red"),),
            width=4,
        ),
        Panel(
            title="Handlers",
            description="Handlers registered in each process.",
            unit="short",
            kind="stat",
            queries=(Query(f"max({_HANDLERS})"),),
            width=4,
        ),
    )


def _alerts() -> Panel:
    return Panel(
        title="Alerts",
        description="Alerts of evmon that are pending or firing.",
        unit="short",
        kind="alertlist",
        queries=(),
        width=24,
    )


def _cache_and_memory(limits: Thresholds) -> tuple[Panel, ...]:
    unique = f"evmon_process_memory_unique_bytes{{{PROCESS}}}"
    return (
        Panel(
            title="Cache hit rate by process",
            description="Below the yellow line EvmonCacheHitRateLow warns.",
            unit="percent",
            queries=(Query(_hit_rate(PER_INSTANCE), _WHO),),
            limits=_hit_rate_lines(limits),
            below=True,
        ),
        Panel(
            title="Cache lookups",
            description="Lookups of a provider's metadata, by result.",
            unit="ops",
            queries=(
                Query(
                    rate(i.CACHE_LOOKUPS, PROCESS, ("evmon_cache_result",)),
                    "{{evmon_cache_result}}",
                ),
            ),
        ),
        Panel(
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
        ),
        Panel(
            title="Memory by process",
            description="Resident, and what the process alone holds (unique)."
            " Above the yellow line EvmonMemoryHigh warns.",
            unit="decbytes",
            queries=(
                Query(
                    f"{series(i.PROCESS_MEMORY_USAGE, PROCESS)}"
                    f" and on (job, instance) {_HANDLERS}",
                    f"{_WHO} resident",
                ),
                Query(unique, f"{_WHO} unique"),
            ),
            limits=_memory_lines(limits),
        ),
        Panel(
            title="Processor",
            description="Seconds of processor time in a second, by mode.",
            unit="percent",
            queries=(
                Query(
                    f"100 * {rate(i.PROCESS_CPU_TIME, PROCESS, ('job', 'cpu_mode'))}",
                    "{{job}} {{cpu_mode}}",
                ),
            ),
        ),
        Panel(
            title="Scan of a provider",
            description="Time of a scan after a miss.",
            unit="s",
            queries=quantiles(i.CACHE_SCAN_DURATION, PROCESS),
        ),
    )


def _discovery(limits: Thresholds) -> tuple[Panel, ...]:
    row = i.DISCOVERY_BATCH_DURATION
    return (
        Panel(
            title="Batch duration",
            description="Percentiles of a batch's time, in seconds."
            " Above the line EvmonDiscoveryBatchP95High warns.",
            unit="s",
            queries=quantiles(row, PROCESS),
            limits=(Limit(limits.processing_warning_ms / 1000, "yellow"),),
        ),
        Panel(
            title="Batch duration, spread",
            description="How many batches took how long.",
            unit="s",
            kind="heatmap",
            queries=heat(row, PROCESS),
        ),
        Panel(
            title="Average batch duration by process",
            description="Above the line EvmonDiscoveryProcessingSlow warns.",
            unit="ms",
            queries=(Query(_average(PER_INSTANCE), _WHO),),
            limits=(Limit(limits.processing_warning_ms, "yellow"),),
        ),
        Panel(
            title="Queue",
            description="Providers that wait to be looked at.",
            unit="short",
            queries=(
                Query(
                    by(PER_INSTANCE, series(i.DISCOVERY_QUEUE_SIZE, PROCESS)),
                    _WHO,
                ),
            ),
        ),
        Panel(
            title="Providers by outcome",
            description="What came of the providers that were looked at.",
            unit="ops",
            queries=(
                Query(
                    rate(i.DISCOVERY_PROVIDERS, PROCESS, ("evmon_discovery_outcome",)),
                    "{{evmon_discovery_outcome}}",
                ),
            ),
        ),
        Panel(
            title="Last run",
            description="When a batch ended last.",
            unit="dateTimeFromNow",
            kind="stat",
            queries=(
                Query(f"1000 * max({series(i.DISCOVERY_LAST_RUN_TIME, PROCESS)})"),
            ),
            minimum=None,
        ),
    )


def _retries(limits: Thresholds) -> tuple[Panel, ...]:
    what = ("evmon_retry_component", "error_type")
    return (
        Panel(
            title="Retries by process",
            description="In the last window. Above the line EvmonRetriesHigh warns.",
            unit="short",
            queries=(Query(_recent_retries(), _WHO),),
            limits=(Limit(limits.retries_warning, "yellow"),),
        ),
        Panel(
            title="Retries by component and error",
            description="What is tried again, and why.",
            unit="ops",
            queries=(
                Query(
                    or_zero(rate(i.RETRY_ATTEMPTS, PROCESS, what)),
                    "{{evmon_retry_component}} {{error_type}}",
                ),
            ),
        ),
        Panel(
            title="Given up",
            description="Operations given up because no retry was left or none could"
            " heal them.",
            unit="ops",
            queries=(
                Query(
                    or_zero(rate(i.RETRY_EXHAUSTED, PROCESS, what)),
                    "{{evmon_retry_component}} {{error_type}}",
                ),
            ),
        ),
    )
