"""Prometheus names of instruments equal those of the exporter."""

import pytest

from evmon._telemetry.instrument import Instrument, Kind
from evmon._telemetry.instruments import INSTRUMENTS
from evmon._telemetry.naming import prometheus_label, prometheus_name


def test_names_and_labels_equal_those_of_the_exporter(everything):
    samples = {}
    for family in everything.families():
        for sample in family.samples:
            samples.setdefault(sample.name, set()).update(sample.labels)
    for row in INSTRUMENTS:
        suffix = "_count" if row.kind is Kind.HISTOGRAM else ""
        name = prometheus_name(row) + suffix
        assert name in samples, row.name
        assert set(map(prometheus_label, row.attributes)) == samples[name]


@pytest.mark.parametrize(
    ("kind", "name", "unit", "shown"),
    [
        (Kind.COUNTER, "evmon.cache.lookups", "{lookup}", "evmon_cache_lookups_total"),
        (Kind.GAUGE, "evmon.cache.entries", "{entry}", "evmon_cache_entries"),
        (Kind.HISTOGRAM, "evmon.retry.delay", "s", "evmon_retry_delay_seconds"),
        (Kind.GAUGE, "memory.bytes", "By", "memory_bytes"),
        (Kind.OBSERVABLE_COUNTER, "cpu.time", "s", "cpu_time_seconds_total"),
    ],
)
def test_the_unit_and_total_are_appended_once(kind, name, unit, shown):
    row = Instrument(name, kind, unit, "A row.")

    assert shown == prometheus_name(row)


def test_characters_not_allowed_in_labels_become_underscores():
    assert "http_request_method_1" == prometheus_label("http.request-method.1")
