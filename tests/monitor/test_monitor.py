"""The monitor over time: window, warnings in the log, intervals."""

import asyncio
import logging

from evmon import MonitorConfig, Thresholds
from evmon._monitor import Monitor
from evmon._telemetry import instruments as i


def alerts(monitor):
    return [(f.alert, f.severity) for f in monitor.get_warnings()]


def test_misses_of_the_first_window_are_no_warning(monitor, lookups, clock):
    lookups(0, 100)
    assert [] == alerts(monitor)
    for _ in range(30):
        clock.now += 15
        monitor.check()
        assert [] == alerts(monitor)


async def test_warnings_cover_the_last_window_not_the_time_since_the_start(
    warm, lookups, clock
):
    lookups(0, 100)
    warm.check()
    assert [("EvmonCacheHitRateLow", "critical")] == alerts(warm)
    for _ in range(30):
        clock.now += 15
        lookups(10, 0)
        warm.check()

    assert [] == alerts(warm)
    assert 75.0 == warm.get_metrics().cache.hit_rate


async def test_samples_older_than_the_window_are_dropped(monitor, clock):
    for _ in range(1000):
        clock.now += 15
        monitor.check()

    assert 300 / 15 + 2 >= len(monitor._samples)


def test_a_breach_is_logged_once_and_its_end_once(monitor, memory, caplog):
    caplog.set_level(logging.INFO)
    for megabytes in (64, 150, 150, 600, 600, 150, 64, 64):
        memory.resident_mb = megabytes
        monitor.check()

    states = [
        (r.levelname, r.alert, r.state, getattr(r, "severity", None))
        for r in caplog.records
    ]
    assert [
        ("WARNING", "EvmonMemoryHigh", "breached", "warning"),
        ("ERROR", "EvmonMemoryHigh", "breached", "critical"),
        ("WARNING", "EvmonMemoryHigh", "breached", "warning"),
        ("INFO", "EvmonMemoryHigh", "cleared", None),
    ] == states
    assert "resident memory: 150MB, above the limit of 100MB" in caplog.text
    assert 150.0 == caplog.records[0].value
    assert 100.0 == caplog.records[0].limit


def test_a_warning_clears_when_traffic_ends(warm, lookups, clock, caplog):
    caplog.set_level(logging.INFO)
    lookups(0, 100)
    warm.check()
    clock.now += 301
    warm.check()
    clock.now += 301
    warm.check()

    assert "cleared: too little traffic to judge" in caplog.text


async def test_it_checks_at_intervals_and_logs_a_summary_every_five_minutes(
    monitor, clock, memory, caplog
):
    caplog.set_level(logging.INFO)
    task = asyncio.create_task(monitor.run())
    memory.resident_mb = 150
    await clock.advance(15)
    assert "EvmonMemoryHigh" in caplog.text
    await clock.advance(600)
    task.cancel()

    assert 2 == caplog.text.count("Performance Summary (uptime: ")


async def test_the_summary_is_a_record_for_each_line_in_the_same_form(
    monitor, clock, lookups, caplog
):
    caplog.set_level(logging.INFO)
    lookups(56, 4)
    task = asyncio.create_task(monitor.run())
    await clock.advance(300)
    task.cancel()

    records = [record.getMessage() for record in caplog.records]
    assert [*monitor.get_performance_summary().split("\n")] == records[:-1]
    assert "  Cache: 93% hit rate (56/60)" == records[1]
    assert not [message for message in records if "\n" in message]


async def test_each_interval_ends_with_a_record_of_its_throughput(
    monitor, clock, record, caplog
):
    caplog.set_level(logging.INFO)
    task = asyncio.create_task(monitor.run())
    record(i.CONSUMED_MESSAGES, 900)
    record(i.PROCESS_DURATION, 0.02, 98)
    record(i.PROCESS_DURATION, 0.6, 2, **{"error.type": "OSError"})
    await clock.advance(300)
    record(i.CONSUMED_MESSAGES, 30)
    await clock.advance(300)
    task.cancel()

    busy = (
        "events_per_second=3.0 handler_calls=100 handler_errors=2 handler_p99_ms=625.0"
    )
    idle = "events_per_second=0.1 handler_calls=0 handler_errors=0"
    assert [
        f"Throughput: {figures} interval_seconds=300.0" for figures in (busy, idle)
    ] == [m for m in caplog.messages if m.startswith("Throughput")]
    first, second = (r for r in caplog.records if hasattr(r, "events_per_second"))
    assert (3.0, 100, 2, 625.0) == (
        *(first.events_per_second, first.handler_calls),
        *(first.handler_errors, first.handler_p99_ms),
    )
    assert second.handler_p99_ms is None


async def test_a_failed_check_does_not_stop_the_monitor(
    telemetry, clock, memory, caplog
):
    def forbidden():
        raise PermissionError("/proc is not for you")

    monitor = Monitor(telemetry, Thresholds(), MonitorConfig(), clock, forbidden)
    running = asyncio.create_task(monitor.run())
    await clock.advance(2 * MonitorConfig().check_interval_seconds)

    assert 2 == caplog.text.count("the monitor check failed")
    assert not running.done()
    running.cancel()
