"""Derived families on ``/metrics``: ratios, averages and the state of the limits."""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric

from evmon._monitor.findings import Reading
from evmon._monitor.metrics import Metrics, Totals
from evmon._settings.thresholds import BYTES_PER_MB
from evmon._telemetry.instruments import BUS
from evmon._telemetry.naming import prometheus_label

_BUS: Final = prometheus_label(BUS)


def derived_families(
    metrics: Metrics,
    window: Totals,
    readings: Iterable[Reading],
    bus: str,
) -> Iterator[Metric]:
    """Families of a bus that are computed when ``/metrics`` is scraped.

    A value that is not known has no sample, instead of 0.
    """
    rate = window.hit_rate
    yield _gauge(
        "evmon_cache_hit",
        "Share of metadata lookups that hit in the last window.",
        "ratio",
        None if rate is None else rate / 100,
        bus,
    )
    average = window.average_batch_ms
    yield _gauge(
        "evmon_discovery_batch_duration_average",
        "Average duration of a discovery batch in the last window.",
        "seconds",
        None if average is None else average / 1000,
        bus,
    )
    retries, dead_letters = window.retries, window.dead_letters
    yield _gauge(
        "evmon_retries_recent", "Retries in the last window.", "", retries, bus
    )
    yield _gauge(
        "evmon_dead_letters_recent",
        "Dead letters in the last window, without those that handlers rejected.",
        "",
        dead_letters,
        bus,
    )
    yield _gauge(
        "evmon_process_memory_unique",
        "Memory unique to this process (USS).",
        "bytes",
        metrics.memory.heap_used_mb * BYTES_PER_MB,
    )
    yield from _limits(readings, bus)


def _limits(readings: Iterable[Reading], bus: str) -> Iterator[Metric]:
    labels = (_BUS, "alert", "severity")
    limit = GaugeMetricFamily(
        "evmon_threshold_limit", "A limit, in the unit of its runbook.", labels=labels
    )
    breached = GaugeMetricFamily(
        "evmon_threshold_breached", "1 while the limit is breached.", labels=labels
    )
    value = GaugeMetricFamily(
        "evmon_threshold_value",
        "The value compared with the limit, in the unit of its runbook.",
        labels=labels[:2],
    )
    for reading in readings:
        alert = reading.monitored.alert
        if reading.value is not None:
            value.add_metric((bus, alert), reading.value)
        limits = (("warning", reading.warning), ("critical", reading.critical))
        for severity, number in limits:
            if number is not None:
                limit.add_metric((bus, alert, severity), number)
                if reading.measured:
                    is_breached = float(reading.severity == severity)
                    breached.add_metric((bus, alert, severity), is_breached)
    yield from (limit, breached, value)


def _gauge(
    name: str, help_text: str, unit: str, value: float | None, bus: str = ""
) -> Metric:
    """A gauge of the bus, or of the process."""
    labels = {_BUS: bus} if bus else {}
    family = GaugeMetricFamily(name, help_text, unit=unit, labels=list(labels))
    if value is not None:
        family.add_metric(tuple(labels.values()), value)
    return family
