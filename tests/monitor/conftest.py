"""A monitor, its process memory, and helpers that record measurements."""

import pytest

from evmon import MonitorConfig, Thresholds
from evmon._monitor import Monitor
from evmon._telemetry import instruments as i
from evmon._telemetry.process import ProcessMemory

MB = 1_000_000
LIMITS = Thresholds(
    window_seconds=300,
    cache_hit_rate_warning_percent=50,
    cache_hit_rate_critical_percent=20,
    cache_min_lookups=20,
    memory_warning_mb=100,
    memory_critical_mb=500,
    processing_warning_ms=1000,
    processing_min_runs=1,
    handler_errors_warning_percent=5,
    handler_errors_critical_percent=50,
    handler_errors_min_calls=20,
    retries_warning=10,
)
"""Limits that tests rely on, independent of the defaults."""


class Memory:
    """Memory that a test sets, in MB."""

    def __init__(self):
        self.resident_mb = 64.0

    def __call__(self):
        return ProcessMemory(int(self.resident_mb * MB), int(45.2 * MB), int(6.5 * MB))


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def monitor(telemetry, clock, memory):
    return Monitor(telemetry, LIMITS, MonitorConfig(), clock, memory)


@pytest.fixture
def record(telemetry):
    """Records into an instrument, as the components of a bus do."""

    def record(instrument, amount=1, times=1, **attributes):
        series = telemetry.meter.bind(instrument, attributes)
        for _ in range(times):
            series(amount)

    return record


@pytest.fixture
def lookups(record):
    def lookups(hits=0, misses=0):
        record(i.CACHE_LOOKUPS, hits, **{"evmon.cache.result": "hit"})
        record(i.CACHE_LOOKUPS, misses, **{"evmon.cache.result": "miss"})

    return lookups


@pytest.fixture
def warm(monitor, clock):
    """A monitor whose service has run for longer than the window."""
    clock.now += 315
    monitor.check()
    return monitor
