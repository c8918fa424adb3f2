"""The monitor: compares the collected metrics with limits."""

from evmon._monitor.findings import Finding, Recommendation
from evmon._monitor.metrics import (
    CacheMetrics,
    DiscoveryMetrics,
    MemoryMetrics,
    Metrics,
    TimingMetrics,
)
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
