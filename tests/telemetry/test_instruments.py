"""The table of instruments: names, completeness, bucket boundaries."""

import re

import pytest

from evmon import Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Kind
from evmon._telemetry.instruments import INSTRUMENTS
from evmon._telemetry.naming import prometheus_name

CONTRACT = {
    "evmon.discovery.queue.size": "evmon_discovery_queue_size",
    "evmon.discovery.handlers": "evmon_discovery_handlers",
    "evmon.discovery.providers": "evmon_discovery_providers_total",
    "evmon.discovery.batch.duration": "evmon_discovery_batch_duration_seconds",
    "evmon.discovery.last_run.time": "evmon_discovery_last_run_time_seconds",
    "evmon.cache.lookups": "evmon_cache_lookups_total",
    "evmon.cache.evictions": "evmon_cache_evictions_total",
    "evmon.cache.entries": "evmon_cache_entries",
    "evmon.cache.scan.duration": "evmon_cache_scan_duration_seconds",
    "evmon.retry.attempts": "evmon_retry_attempts_total",
    "evmon.retry.exhausted": "evmon_retry_exhausted_total",
    "evmon.retry.delay": "evmon_retry_delay_seconds",
    "messaging.client.sent.messages": "messaging_client_sent_messages_total",
    "messaging.client.consumed.messages": "messaging_client_consumed_messages_total",
    "messaging.client.operation.duration": "messaging_client_operation_duration_seconds",
    "messaging.process.duration": "messaging_process_duration_seconds",
    "evmon.events.in_flight": "evmon_events_in_flight",
    "process.memory.usage": "process_memory_usage_bytes",
    "process.memory.virtual": "process_memory_virtual_bytes",
    "process.cpu.time": "process_cpu_time_seconds_total",
    "process.thread.count": "process_threads",
}


def test_the_promised_names_exist():
    names = {row.name: prometheus_name(row) for row in INSTRUMENTS}

    assert CONTRACT == {name: names.get(name) for name in CONTRACT}


def test_every_row_is_complete_and_unique():
    assert len({row.name for row in INSTRUMENTS}) == len(INSTRUMENTS)
    for row in INSTRUMENTS:
        assert re.fullmatch(r"[a-z][a-z0-9_.]*", row.name)
        assert row.description.endswith(".")
        assert (row.kind is Kind.HISTOGRAM) == bool(row.boundaries)
        assert list(row.boundaries) == sorted(set(row.boundaries))


def test_the_processing_limit_is_a_bucket_boundary():
    assert (
        Thresholds().processing_warning_ms / 1000
        in i.DISCOVERY_BATCH_DURATION.boundaries
    )
    assert 1 in i.DISCOVERY_BATCH_DURATION.boundaries


def test_histograms_have_the_boundaries_of_the_table(everything):
    bounds = {}
    for family in everything.families():
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                bounds.setdefault(sample.name, []).append(float(sample.labels["le"]))
    for row in INSTRUMENTS:
        if row.boundaries:
            found = bounds[f"{prometheus_name(row)}_bucket"]
            assert [*row.boundaries, float("inf")] == found


def test_observable_instruments_cannot_be_recorded(everything):
    with pytest.raises(ValueError, match="is observed, not recorded"):
        everything.meter.bind(i.PROCESS_CPU_TIME)
