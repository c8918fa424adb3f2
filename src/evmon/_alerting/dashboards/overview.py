"""The dashboard *Overview*: current values against their limits, and alerts."""

from evmon._alerting.dashboards.overview_rows import (
    cache_and_memory,
    discovery,
    processes,
    retries,
)
from evmon._alerting.dashboards.panels import (
    PROCESS,
    TARGET,
    Board,
    Limit,
    Panel,
    Query,
    Row,
    or_zero,
)
from evmon._alerting.dashboards.queries import (
    HANDLERS,
    batch_average,
    hit_rate,
    hit_rate_limits,
    memory_limits,
    recent_retries,
)
from evmon._alerting.dashboards.targets import targets
from evmon._alerting.promql import series
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i


def overview(limits: Thresholds) -> Board:
    """Return the dashboard, with a threshold line at each limit."""
    return Board(
        "evmon-overview",
        "evmon / Overview",
        "Is the service within its limits? Cache, memory, discovery, retries.",
        (
            Row("Targets", targets()),
            Row("Limits", _limits(limits)),
            Row("Alerts", (_alerts(),)),
            Row("Metadata cache and memory", cache_and_memory(limits)),
            Row("Discovery", discovery(limits)),
            Row("Retries", retries(limits)),
            Row("Processes", processes()),
        ),
    )


def _limits(limits: Thresholds) -> tuple[Panel, ...]:
    return (
        _cache_hit_rate(limits),
        _memory(limits),
        _discovery_batch_average(limits),
        _retries_of_the_worst_process(limits),
        _not_ready(),
        _handlers(),
    )


def _cache_hit_rate(limits: Thresholds) -> Panel:
    return Panel(
        title="Cache hit rate",
        description="Share of metadata lookups that found an entry."
        " Low: providers are scanned again and again.",
        unit="percent",
        kind="stat",
        queries=(Query(hit_rate(())),),
        limits=hit_rate_limits(limits),
        below=True,
        width=4,
        no_value="no lookups",
    )


def _memory(limits: Thresholds) -> Panel:
    return Panel(
        title="Memory",
        description="Resident memory of the largest process.",
        unit="decbytes",
        kind="stat",
        queries=(
            Query(
                f"max({series(i.PROCESS_MEMORY_USAGE, TARGET)}"
                f" and on (job, instance) {HANDLERS})"
            ),
        ),
        limits=memory_limits(limits),
        width=4,
    )


def _discovery_batch_average(limits: Thresholds) -> Panel:
    return Panel(
        title="Discovery batch, average",
        description="Average time of a batch of providers.",
        unit="ms",
        kind="stat",
        queries=(Query(batch_average(())),),
        limits=(Limit(limits.processing_warning_ms, "yellow"),),
        width=4,
        no_value="no batches",
    )


def _retries_of_the_worst_process(limits: Thresholds) -> Panel:
    return Panel(
        title="Retries of the worst process",
        description="Retries in the last window; each process has the limit.",
        unit="short",
        kind="stat",
        queries=(Query(or_zero(f"max({recent_retries()})")),),
        limits=(Limit(limits.retries_warning, "yellow"),),
        width=4,
    )


def _not_ready() -> Panel:
    return Panel(
        title="Not ready",
        description="Processes whose /readyz says no.",
        unit="short",
        kind="stat",
        queries=(Query(or_zero(f"count({series(i.CONSUMER_READY, PROCESS)} == 0)")),),
        limits=(Limit(1, "red"),),
        width=4,
        no_value="no process reports",
    )


def _handlers() -> Panel:
    return Panel(
        title="Handlers",
        description="Handlers registered in each process.",
        unit="short",
        kind="stat",
        queries=(Query(f"max({HANDLERS})"),),
        width=4,
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
