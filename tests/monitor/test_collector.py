"""Derived families stand on `/metrics` beside the measured ones, without unknown values."""


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
