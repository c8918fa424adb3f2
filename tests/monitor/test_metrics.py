"""The figures and the summary that the monitor computes."""

import json

import pytest

from evmon import MonitorConfig, Thresholds
from evmon._monitor import Monitor
from evmon._telemetry import instruments as i
from evmon._telemetry.process import ProcessMemory

MB = 1_000_000


def test_hit_rate_is_unknown_before_the_first_lookup(monitor):
    assert monitor.get_metrics().cache.hit_rate is None


def test_figures_are_computed_from_the_instruments(monitor, record, lookups, clock):
    lookups(850, 150)
    record(i.DISCOVERY_QUEUE_SIZE, 3)
    record(i.DISCOVERY_HANDLERS, 150)
    record(i.RETRY_ATTEMPTS, 2, **{"evmon.retry.component": "discovery"})
    record(i.RETRY_ATTEMPTS, 5, **{"evmon.retry.component": "handler"})
    record(i.DISCOVERY_BATCH_DURATION, 0.0125, 120)
    record(i.DISCOVERY_LAST_RUN_TIME, 1_700_000_000.0)
    clock.now += 3600

    assert {
        "cache": {"hits": 850, "misses": 150, "hit_rate": 85.0},
        "discovery": {
            "pending": 3,
            "registered": 150,
            "retry_count": 2,
            "processing_time_ms": pytest.approx(12.5),
        },
        "memory": {"heap_used_mb": 45.2, "heap_total_mb": 64.0, "external_mb": 6.5},
        "timing": {
            "last_discovery_run": 1_700_000_000.0,
            "average_processing_time_ms": pytest.approx(12.5),
            "total_runs": 120,
        },
    } == monitor.get_metrics().to_dict()
    json.dumps(monitor.get_metrics().to_dict())
    assert (
        "Performance Summary (uptime: 3600s):\n"
        "  Cache: 85% hit rate (850/1000)\n"
        "  Discovery: 150 registered, 3 pending\n"
        "  Memory: 45.2MB used / 64MB total\n"
        "  Processing: 12.5ms average (120 runs)"
    ) == monitor.get_performance_summary()


def test_the_summary_names_figures_that_are_unknown(monitor):
    summary = monitor.get_performance_summary()

    assert "Cache: no hit rate (0/0)" in summary
    assert "Processing: no average (0 runs)" in summary


def test_memory_that_the_system_does_not_report_is_unknown(telemetry, clock):
    monitor = Monitor(
        telemetry,
        Thresholds(),
        MonitorConfig(),
        clock,
        lambda: ProcessMemory(MB, None, None),
    )

    memory = monitor.get_metrics().memory
    assert (1.0, 1.0, None) == (
        memory.heap_used_mb,
        memory.heap_total_mb,
        memory.external_mb,
    )
