"""The monitor computes from what OpenTelemetry collected, warns once, and explains."""

import asyncio
import json
import logging

import pytest

from evmon import MonitorConfig, Thresholds
from evmon._monitor import Monitor
from evmon._telemetry import instruments as i
from evmon._telemetry.process import ProcessMemory, process_memory
from evmon._telemetry.provider import Telemetry

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
"""Limits that the tests say numbers for, whatever the defaults are."""


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
def telemetry():
    telemetry = Telemetry("shop")
    yield telemetry
    telemetry.shutdown()


@pytest.fixture
def monitor(telemetry, clock, memory):
    return Monitor(telemetry, LIMITS, MonitorConfig(), clock, memory)


@pytest.fixture
def record(telemetry):
    """Record as the components would: `record(instrument, amount, times, **attributes)`."""

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
    """The monitor of a service that runs for longer than the window."""
    clock.now += 315
    monitor.check()
    return monitor


def alerts(monitor):
    return [(f.alert, f.severity) for f in monitor.get_warnings()]


def test_hit_rate_is_unknown_before_the_first_lookup(monitor):
    assert monitor.get_metrics().cache.hit_rate is None


def test_figures_come_from_the_instruments(monitor, record, lookups, clock):
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
    assert monitor.get_performance_summary() == (
        "Performance Summary (uptime: 3600s):\n"
        "  Cache: 85% hit rate (850/1000)\n"
        "  Discovery: 150 registered, 3 pending\n"
        "  Memory: 45.2MB used / 64MB total\n"
        "  Processing: 12.5ms average (120 runs)"
    )


def test_the_summary_says_so_when_nothing_is_known(monitor):
    summary = monitor.get_performance_summary()

    assert "Cache: no hit rate (0/0)" in summary
    assert "Processing: no average (0 runs)" in summary


def test_nothing_is_wrong_at_the_start(monitor):
    assert alerts(monitor) == []
    assert monitor.get_recommendations() == ()


@pytest.mark.parametrize(
    ("hits", "misses", "severity"),
    [
        (50, 50, None),
        (49, 51, "warning"),
        (20, 80, "warning"),
        (19, 81, "critical"),
        (0, 19, None),
        (0, 20, "critical"),
    ],
)
def test_the_hit_rate_is_judged_with_enough_traffic_only(
    warm, lookups, hits, misses, severity
):
    lookups(hits, misses)

    expected = [("EvmonCacheHitRateLow", severity)] if severity else []
    assert expected == alerts(warm)


def test_a_cache_that_is_filled_for_the_first_time_is_not_warned_of(
    monitor, lookups, clock
):
    lookups(0, 100)
    assert alerts(monitor) == []
    for _ in range(30):
        clock.now += 15
        monitor.check()
        assert alerts(monitor) == []


@pytest.mark.parametrize(
    ("megabytes", "severity"),
    [(100, None), (100.1, "warning"), (500, "warning"), (500.1, "critical")],
)
def test_resident_memory_is_held_against_its_limits(
    monitor, memory, megabytes, severity
):
    memory.resident_mb = megabytes

    expected = [("EvmonMemoryHigh", severity)] if severity else []
    assert expected == alerts(monitor)


@pytest.mark.parametrize(("seconds", "wrong"), [(1.0, False), (1.01, True)])
def test_the_average_batch_is_held_against_its_limit(monitor, record, seconds, wrong):
    record(i.DISCOVERY_BATCH_DURATION, seconds, 4)

    assert ([("EvmonDiscoveryProcessingSlow", "warning")] if wrong else []) == alerts(
        monitor
    )


@pytest.mark.parametrize(("retries", "wrong"), [(10, False), (11, True)])
def test_retries_of_all_components_are_held_against_their_limit(
    monitor, record, retries, wrong
):
    record(i.RETRY_ATTEMPTS, 5, **{"evmon.retry.component": "publish"})
    record(i.RETRY_ATTEMPTS, retries - 5, **{"evmon.retry.component": "handler"})

    assert ([("EvmonRetriesHigh", "warning")] if wrong else []) == alerts(monitor)


@pytest.mark.parametrize(
    ("failed", "severity"), [(5, None), (6, "warning"), (51, "critical")]
)
def test_the_share_of_failing_handler_calls_is_held_against_its_limits(
    monitor, record, failed, severity
):
    record(i.PROCESS_DURATION, 0.01, 100 - failed)
    record(i.PROCESS_DURATION, 0.01, failed, **{"error.type": "ValueError"})

    expected = [("EvmonHandlerErrorsHigh", severity)] if severity else []
    assert expected == alerts(monitor)


async def test_warnings_look_at_the_last_window_and_not_at_the_time_since_the_start(
    warm, lookups, clock
):
    lookups(0, 100)
    warm.check()
    assert alerts(warm) == [("EvmonCacheHitRateLow", "critical")]
    for _ in range(30):
        clock.now += 15
        lookups(10, 0)
        warm.check()

    assert alerts(warm) == []
    assert warm.get_metrics().cache.hit_rate == 75.0


async def test_samples_older_than_the_window_are_dropped(monitor, clock):
    for _ in range(1000):
        clock.now += 15
        monitor.check()

    assert len(monitor._samples) <= 300 / 15 + 2


def test_a_warning_is_logged_once_when_breached_and_once_when_it_clears(
    monitor, memory, caplog
):
    caplog.set_level(logging.INFO)
    for megabytes in (64, 150, 150, 600, 600, 150, 64, 64):
        memory.resident_mb = megabytes
        monitor.check()

    states = [
        (r.levelname, r.alert, r.state, getattr(r, "severity", None))
        for r in caplog.records
    ]
    assert states == [
        ("WARNING", "EvmonMemoryHigh", "breached", "warning"),
        ("ERROR", "EvmonMemoryHigh", "breached", "critical"),
        ("WARNING", "EvmonMemoryHigh", "breached", "warning"),
        ("INFO", "EvmonMemoryHigh", "cleared", None),
    ]
    assert "resident memory: 150MB, above the limit of 100MB" in caplog.text
    assert caplog.records[0].value == 150.0
    assert caplog.records[0].limit == 100.0


def test_a_warning_clears_when_traffic_ends(warm, lookups, clock, caplog):
    caplog.set_level(logging.INFO)
    lookups(0, 100)
    warm.check()
    clock.now += 301
    warm.check()
    clock.now += 301
    warm.check()

    assert "cleared: too little traffic to judge" in caplog.text


def test_a_recommendation_says_what_why_and_what_next(monitor, memory):
    memory.resident_mb = 150
    (advice,) = monitor.get_recommendations()

    assert advice.finding.message == "resident memory: 150MB, above the limit of 100MB"
    assert advice.causes
    assert "evmon_events_in_flight" in advice.next_step
    assert advice.runbook == "EvmonMemoryHigh"


async def test_it_looks_at_intervals_and_speaks_every_five_minutes(
    monitor, clock, memory, caplog
):
    caplog.set_level(logging.INFO)
    task = asyncio.create_task(monitor.run())
    memory.resident_mb = 150
    await clock.advance(15)
    assert "EvmonMemoryHigh" in caplog.text
    await clock.advance(600)
    task.cancel()

    assert caplog.text.count("Performance Summary (uptime: ") == 2


def test_the_derived_view_is_on_the_same_metrics(monitor, telemetry, lookups, memory):
    lookups(3, 1)
    memory.resident_mb = 150

    samples = {
        (s.name, *sorted(s.labels.values())): s.value
        for family in telemetry.families()
        for s in family.samples
    }

    assert samples["evmon_cache_hit_ratio",] == 0.75
    assert samples["evmon_cache_lookups_total", "hit"] == 3
    assert samples["evmon_threshold_breached", "EvmonMemoryHigh", "warning"] == 1
    assert samples["evmon_threshold_breached", "EvmonMemoryHigh", "critical"] == 0
    assert samples["evmon_threshold_value", "EvmonMemoryHigh"] == 150
    assert samples["evmon_threshold_limit", "EvmonMemoryHigh", "critical"] == 500


def test_what_is_not_known_has_no_sample(monitor, telemetry):
    names = {s.name for family in telemetry.families() for s in family.samples}

    assert "evmon_cache_hit_ratio" not in names
    assert "evmon_discovery_batch_duration_average_seconds" not in names


def test_memory_that_the_system_does_not_tell_is_not_made_up(telemetry, clock):
    monitor = Monitor(
        telemetry,
        LIMITS,
        MonitorConfig(),
        clock,
        lambda: ProcessMemory(MB, None, None),
    )

    memory = monitor.get_metrics().memory
    assert (
        memory.heap_used_mb,
        memory.heap_total_mb,
        memory.external_mb,
    ) == (1.0, 1.0, None)


def test_the_real_memory_figures_are_in_order():
    memory = process_memory()

    assert 0 < memory.unique <= memory.resident
    assert memory.allocated > 0


async def test_a_look_that_fails_ends_neither_the_monitor_nor_the_bus(
    telemetry, clock, memory, caplog
):
    def forbidden():
        raise PermissionError("/proc is not for you")

    monitor = Monitor(telemetry, LIMITS, MonitorConfig(), clock, forbidden)
    running = asyncio.create_task(monitor.run())
    await clock.advance(2 * MonitorConfig().check_interval_seconds)

    assert caplog.text.count("the monitor check failed") == 2
    assert not running.done()
    running.cancel()
