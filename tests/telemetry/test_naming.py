"""An instrument's Prometheus name is the one that the exporter writes."""

from evmon._telemetry.instruments import INSTRUMENTS, Kind
from evmon._telemetry.naming import prometheus_label, prometheus_name


def test_the_exporter_names_everything_as_the_table_predicts(everything):
    samples = {}
    for family in everything.families():
        for sample in family.samples:
            samples.setdefault(sample.name, set()).update(sample.labels)
    for row in INSTRUMENTS:
        suffix = "_count" if row.kind is Kind.HISTOGRAM else ""
        name = prometheus_name(row) + suffix
        assert name in samples, row.name
        assert set(map(prometheus_label, row.attributes)) == samples[name]
