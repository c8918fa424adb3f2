"""The metrics of the monitor, computed from a snapshot."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from evmon._settings.thresholds import BYTES_PER_MB
from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument
from evmon._telemetry.process import ProcessMemory
from evmon._telemetry.snapshot import Distribution, Snapshot


@dataclass(frozen=True, slots=True)
class CacheMetrics:
    """The metadata cache since startup.

    Attributes:
        hits: number of lookups that found an entry; None if it is not measured.
        misses: number of lookups that had to scan the provider; None likewise.
        hit_rate: percent, 0 to 100; None before the first lookup.

    Example:
        >>> CacheMetrics(hits=3, misses=1, hit_rate=75.0).hit_rate
        75.0
    """

    hits: int | None
    misses: int | None
    hit_rate: float | None


@dataclass(frozen=True, slots=True)
class DiscoveryMetrics:
    """The current state of discovery; None where it is not measured.

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

    pending: int | None
    registered: int | None
    retry_count: int | None
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
        total_runs: number of batches; None if it is not measured.

    Example:
        >>> bus.monitor.get_metrics().timing.total_runs
        15
    """

    last_discovery_run: float | None
    average_processing_time_ms: float | None
    total_runs: int | None


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
    """The counters that limits apply to, at one moment or over a window.

    Those that are not measured are None, or 0 where a ratio is made of them.
    """

    hits: float = 0
    misses: float = 0
    retries: float | None = 0
    discovery_retries: float | None = 0
    calls: float | None = 0
    failed_calls: float | None = 0
    dead_letters: float | None = 0
    batches: Distribution = Distribution()
    events: float | None = 0
    handling: Distribution = Distribution()

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Totals":
        """Read the counters from a snapshot."""
        sees_calls = snapshot.sees(i.PROCESS_DURATION)
        handling = snapshot.distribution(i.PROCESS_DURATION)
        succeeded = snapshot.distribution(i.PROCESS_DURATION, without=i.ERROR_TYPE)
        by_discovery = {i.RETRY_COMPONENT: "discovery"}
        return cls(
            calls=handling.count if sees_calls else None,
            failed_calls=handling.count - succeeded.count if sees_calls else None,
            hits=_total(snapshot, i.CACHE_LOOKUPS, {i.CACHE_RESULT: "hit"}) or 0,
            misses=_total(snapshot, i.CACHE_LOOKUPS, {i.CACHE_RESULT: "miss"}) or 0,
            retries=_total(snapshot, i.RETRY_ATTEMPTS),
            discovery_retries=_total(snapshot, i.RETRY_ATTEMPTS, by_discovery),
            # What a handler rejects by design is no problem of the service.
            dead_letters=_difference(
                _total(snapshot, i.DEAD_LETTERS),
                _total(snapshot, i.DEAD_LETTERS, {i.DEAD_LETTER_REASON: "rejected"}),
            ),
            batches=snapshot.distribution(i.DISCOVERY_BATCH_DURATION),
            events=_total(snapshot, i.CONSUMED_MESSAGES),
            handling=handling,
        )

    def since(self, earlier: "Totals") -> "Totals":
        """The difference from `earlier` totals."""
        return Totals(
            hits=self.hits - earlier.hits,
            misses=self.misses - earlier.misses,
            retries=_difference(self.retries, earlier.retries),
            discovery_retries=_difference(
                self.discovery_retries, earlier.discovery_retries
            ),
            calls=_difference(self.calls, earlier.calls),
            failed_calls=_difference(self.failed_calls, earlier.failed_calls),
            dead_letters=_difference(self.dead_letters, earlier.dead_letters),
            batches=self.batches.since(earlier.batches),
            events=_difference(self.events, earlier.events),
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
        return 100 * (self.failed_calls or 0) / self.calls if self.calls else None

    @property
    def average_batch_ms(self) -> float | None:
        """Milliseconds; None before the first batch."""
        mean = self.batches.mean
        return None if mean is None else 1000 * mean


MONITORED: Final = (
    *(i.CACHE_LOOKUPS, i.DISCOVERY_QUEUE_SIZE, i.DISCOVERY_HANDLERS),
    *(i.DISCOVERY_BATCH_DURATION, i.DISCOVERY_LAST_RUN_TIME),
    *(i.RETRY_ATTEMPTS, i.PROCESS_DURATION, i.DEAD_LETTERS, i.CONSUMED_MESSAGES),
)
"""The instruments that the figures of the monitor are made of."""


def metrics_of(snapshot: Snapshot, window: Totals, memory: ProcessMemory) -> Metrics:
    """Compute the metrics.

    Args:
        snapshot: current values of all instruments.
        window: counters over the last window.
        memory: current memory of the process.
    """
    totals = Totals.of(snapshot)
    sees_cache = snapshot.sees(i.CACHE_LOOKUPS)
    sees_runs = snapshot.sees(i.DISCOVERY_BATCH_DURATION)
    return Metrics(
        cache=CacheMetrics(
            int(totals.hits) if sees_cache else None,
            int(totals.misses) if sees_cache else None,
            totals.hit_rate,
        ),
        discovery=DiscoveryMetrics(
            pending=_count(_total(snapshot, i.DISCOVERY_QUEUE_SIZE)),
            registered=_count(_total(snapshot, i.DISCOVERY_HANDLERS)),
            retry_count=_count(totals.discovery_retries),
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
            total_runs=totals.batches.count if sees_runs else None,
        ),
    )


def _total(
    snapshot: Snapshot, row: Instrument, attributes: Mapping[str, str] = {}
) -> float | None:
    """Sum over all series of an instrument; None if they are not collected."""
    return snapshot.total(row, attributes) if snapshot.sees(row) else None


def _difference(now: float | None, earlier: float | None) -> float | None:
    return None if now is None or earlier is None else now - earlier


def _count(number: float | None) -> int | None:
    return None if number is None else int(number)


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
    used, total = metrics.memory.heap_used_mb, metrics.memory.heap_total_mb
    registered, pending = metrics.discovery.registered, metrics.discovery.pending
    lookups = "unknown"
    if cache.hits is not None and cache.misses is not None:
        lookups = f"{rate} hit rate ({cache.hits}/{cache.hits + cache.misses})"
    return (
        f"Performance Summary (uptime: {uptime_seconds:.0f}s):\n"
        f"  Cache: {lookups}\n"
        f"  Discovery: {_text(registered)} registered, {_text(pending)} pending\n"
        f"  Memory: {used:.1f}MB used / {total:.0f}MB total\n"
        f"  Processing: {duration} average ({_text(timing.total_runs)} runs)"
    )


def _text(number: int | None) -> str:
    return "unknown" if number is None else str(number)
