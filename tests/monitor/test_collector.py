"""Derived families stand on `/metrics` beside the measured ones, without unknown values."""


def test_the_derived_view_is_on_the_same_metrics(monitor, telemetry, lookups, memory):
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


def test_what_is_not_known_has_no_sample(monitor, telemetry):
    names = {s.name for family in telemetry.families() for s in family.samples}

    assert "evmon_cache_hit_ratio" not in names
    assert "evmon_discovery_batch_duration_average_seconds" not in names
