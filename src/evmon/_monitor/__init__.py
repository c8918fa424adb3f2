"""The monitor: a view over what OpenTelemetry collected; it owns no counters."""

from evmon._monitor.figures import (
    CacheMetrics,
    DiscoveryMetrics,
    MemoryMetrics,
    Metrics,
    TimingMetrics,
)
from evmon._monitor.findings import Finding, Recommendation
from evmon._monitor.monitor import Monitor

__all__ = [
    "CacheMetrics",
    "DiscoveryMetrics",
    "Finding",
    "MemoryMetrics",
    "Metrics",
    "Monitor",
    "Recommendation",
    "TimingMetrics",
]
