"""The derived metrics of the monitor on /metrics."""

from evmon._telemetry import instruments as i


def test_derived_metrics_are_exported_with_the_measured_ones(
    monitor, telemetry, lookups, memory
):
    lookups(3, 1)
    memory.resident_mb = 150

    samples = {
        (s.name, *sorted(s.labels.values())): s.value
        for family in telemetry.families()
        for s in family.samples
    }

    assert 0.75 == samples["evmon_cache_hit_ratio",]
    assert 3 == samples["evmon_cache_lookups_total", "hit"]
    assert 1 == samples["evmon_threshold_breached", "EvmonMemoryHigh", "warning"]
    assert 0 == samples["evmon_threshold_breached", "EvmonMemoryHigh", "critical"]
    assert 150 == samples["evmon_threshold_value", "EvmonMemoryHigh"]
    assert 500 == samples["evmon_threshold_limit", "EvmonMemoryHigh", "critical"]


def test_events_that_handlers_rejected_are_no_recent_dead_letters(
    monitor, telemetry, record
):
    record(i.DEAD_LETTERS, 2, **{i.DEAD_LETTER_REASON: "rejected"})
    record(i.DEAD_LETTERS, 1, **{i.DEAD_LETTER_REASON: "handler_error"})

    samples = {s.name: s.value for f in telemetry.families() for s in f.samples}
    assert 1 == samples["evmon_dead_letters_recent"]


def test_unknown_derived_values_have_no_sample(monitor, telemetry):
    names = {s.name for family in telemetry.families() for s in family.samples}

    assert "evmon_cache_hit_ratio" not in names
    assert "evmon_discovery_batch_duration_average_seconds" not in names
