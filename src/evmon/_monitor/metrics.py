"""The metrics of the monitor, computed from a snapshot."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from evmon._settings.thresholds import BYTES_PER_MB
from evmon._telemetry import instruments as i
from evmon._telemetry.process import ProcessMemory
from evmon._telemetry.snapshot import Distribution, Snapshot


@dataclass(frozen=True, slots=True)
class CacheMetrics:
    """The metadata cache since startup.

    Attributes:
        hits: number of lookups that found an entry.
        misses: number of lookups that had to scan the provider.
        hit_rate: percent, 0 to 100; None before the first lookup.

    Example:
        >>> CacheMetrics(hits=3, misses=1, hit_rate=75.0).hit_rate
        75.0
    """

    hits: int
    misses: int
    hit_rate: float | None


@dataclass(frozen=True, slots=True)
class DiscoveryMetrics:
    """The current state of discovery.

    Attributes:
        pending: number of providers queued or waiting for a retry.
        registered: number of registered handlers.
        retry_count: number of retried providers since startup.
        processing_time_ms: average duration in milliseconds of the batches in the last
            window; None if there was none.

    Example:
        >>> bus.monitor.get_metrics().discovery.pending
        0
    """

    pending: int
    registered: int
    retry_count: int
    processing_time_ms: float | None


@dataclass(frozen=True, slots=True)
class MemoryMetrics:
    """Memory of the process, in MB of 10^6 bytes.

    Python does not report the size of its heap; these are the closest values that the
    operating system and the C library provide.

    Attributes:
        heap_used_mb: unique set size (USS): memory of this process alone, which would
            be freed if it ended. The RSS where the system does not report it.
        heap_total_mb: resident set size (RSS): the USS and the pages shared with other
            processes. The limits apply to it; on ``/metrics`` it is
            ``process_memory_usage_bytes``.
        external_mb: memory handed out by the C allocator (``psutil.heap_info``),
            outside Python's small-object arenas: buffers, large objects, extensions.
            None where the C library does not report it.

    Example:
        >>> bus.monitor.get_metrics().memory.heap_total_mb
        38.9
    """

    heap_used_mb: float
    heap_total_mb: float
    external_mb: float | None


@dataclass(frozen=True, slots=True)
class TimingMetrics:
    """Discovery batches since startup.

    Attributes:
        last_discovery_run: end of the last batch in seconds since the Unix epoch; None
            before the first.
        average_processing_time_ms: average duration in milliseconds; None before the
            first batch.
        total_runs: number of batches.

    Example:
        >>> bus.monitor.get_metrics().timing.total_runs
        15
    """

    last_discovery_run: float | None
    average_processing_time_ms: float | None
    total_runs: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """All metrics of the monitor at one moment.

    Attributes:
        cache: the metadata cache since startup.
        discovery: the current state of discovery.
        memory: memory of the process.
        timing: discovery batches since startup.

    Example:
        >>> bus.monitor.get_metrics().to_dict()["cache"]
        {'hits': 56, 'misses': 4, 'hit_rate': 93.3}
    """

    cache: CacheMetrics
    discovery: DiscoveryMetrics
    memory: MemoryMetrics
    timing: TimingMetrics

    def to_dict(self) -> dict[str, Any]:
        """Convert to nested dictionaries, for JSON.

        Returns:
            One dictionary for each of ``cache``, ``discovery``, ``memory`` and
            ``timing``, in the same units.
        """
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Totals:
    """The counters that limits apply to, at one moment or over a window."""

    hits: float = 0
    misses: float = 0
    retries: float = 0
    calls: int = 0
    failed_calls: int = 0
    dead_letters: float = 0
    batches: Distribution = Distribution()
    events: float = 0
    handling: Distribution = Distribution()

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Totals":
        """Read the counters from a snapshot."""
        handling = snapshot.distribution(i.PROCESS_DURATION)
        succeeded = snapshot.distribution(i.PROCESS_DURATION, without=i.ERROR_TYPE)
        return cls(
            calls=handling.count,
            failed_calls=handling.count - succeeded.count,
            hits=snapshot.total(i.CACHE_LOOKUPS, {i.CACHE_RESULT: "hit"}),
            misses=snapshot.total(i.CACHE_LOOKUPS, {i.CACHE_RESULT: "miss"}),
            retries=snapshot.total(i.RETRY_ATTEMPTS),
            # What a handler rejects by design is no problem of the service.
            dead_letters=snapshot.total(i.DEAD_LETTERS)
            - snapshot.total(i.DEAD_LETTERS, {i.DEAD_LETTER_REASON: "rejected"}),
            batches=snapshot.distribution(i.DISCOVERY_BATCH_DURATION),
            events=snapshot.total(i.CONSUMED_MESSAGES),
            handling=handling,
        )

    def since(self, earlier: "Totals") -> "Totals":
        """The difference from `earlier` totals."""
        return Totals(
            hits=self.hits - earlier.hits,
            misses=self.misses - earlier.misses,
            retries=self.retries - earlier.retries,
            calls=self.calls - earlier.calls,
            failed_calls=self.failed_calls - earlier.failed_calls,
            dead_letters=self.dead_letters - earlier.dead_letters,
            batches=self.batches.since(earlier.batches),
            events=self.events - earlier.events,
            handling=self.handling.since(earlier.handling),
        )

    @property
    def lookups(self) -> float:
        """Hits and misses."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float | None:
        """Percent, 0 to 100; None before the first lookup."""
        return 100 * self.hits / self.lookups if self.lookups else None

    @property
    def error_rate(self) -> float | None:
        """Percent of handler calls that failed; None before the first call."""
        return 100 * self.failed_calls / self.calls if self.calls else None

    @property
    def average_batch_ms(self) -> float | None:
        """Milliseconds; None before the first batch."""
        mean = self.batches.mean
        return None if mean is None else 1000 * mean


def metrics_of(snapshot: Snapshot, window: Totals, memory: ProcessMemory) -> Metrics:
    """Compute the metrics.

    Args:
        snapshot: current values of all instruments.
        window: counters over the last window.
        memory: current memory of the process.
    """
    totals = Totals.of(snapshot)
    return Metrics(
        cache=CacheMetrics(int(totals.hits), int(totals.misses), totals.hit_rate),
        discovery=DiscoveryMetrics(
            pending=int(snapshot.total(i.DISCOVERY_QUEUE_SIZE)),
            registered=int(snapshot.total(i.DISCOVERY_HANDLERS)),
            retry_count=int(
                snapshot.total(i.RETRY_ATTEMPTS, {i.RETRY_COMPONENT: "discovery"})
            ),
            processing_time_ms=window.average_batch_ms,
        ),
        memory=_memory_metrics(memory),
        timing=TimingMetrics(
            last_discovery_run=(
                snapshot.total(i.DISCOVERY_LAST_RUN_TIME)
                if snapshot.has(i.DISCOVERY_LAST_RUN_TIME)
                else None
            ),
            average_processing_time_ms=totals.average_batch_ms,
            total_runs=totals.batches.count,
        ),
    )


def _memory_metrics(memory: ProcessMemory) -> MemoryMetrics:
    used = memory.resident if memory.unique is None else memory.unique
    external = memory.allocated
    return MemoryMetrics(
        heap_used_mb=used / BYTES_PER_MB,
        heap_total_mb=memory.resident / BYTES_PER_MB,
        external_mb=None if external is None else external / BYTES_PER_MB,
    )


def performance_summary(metrics: Metrics, uptime_seconds: float) -> str:
    """The summary that is logged every five minutes: five lines of text."""
    cache, timing = metrics.cache, metrics.timing
    rate = "no" if cache.hit_rate is None else f"{cache.hit_rate:.0f}%"
    average = timing.average_processing_time_ms
    duration = "no" if average is None else f"{average:.1f}ms"
    lookups = cache.hits + cache.misses
    used, total = metrics.memory.heap_used_mb, metrics.memory.heap_total_mb
    registered, pending = metrics.discovery.registered, metrics.discovery.pending
    return (
        f"Performance Summary (uptime: {uptime_seconds:.0f}s):\n"
        f"  Cache: {rate} hit rate ({cache.hits}/{lookups})\n"
        f"  Discovery: {registered} registered, {pending} pending\n"
        f"  Memory: {used:.1f}MB used / {total:.0f}MB total\n"
        f"  Processing: {duration} average ({timing.total_runs} runs)"
    )
