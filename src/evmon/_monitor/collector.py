"""Derived families on ``/metrics``: ratios, averages and the state of the limits."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from evmon._monitor.findings import Reading
from evmon._monitor.metrics import Metrics, Totals
from evmon._settings.thresholds import BYTES_PER_MB


def derived_families(
    metrics: Metrics,
    window: Totals,
    readings: Iterable[Reading],
) -> Iterator[Metric]:
    """Families that are computed when ``/metrics`` is scraped.

    A value that is not known has no sample, instead of 0.
    """
    rate = window.hit_rate
    yield _gauge(
        "evmon_cache_hit",
        "Share of metadata lookups that hit in the last window.",
        "ratio",
        None if rate is None else rate / 100,
    )
    average = window.average_batch_ms
    yield _gauge(
        "evmon_discovery_batch_duration_average",
        "Average duration of a discovery batch in the last window.",
        "seconds",
        None if average is None else average / 1000,
    )
    yield _gauge(
        "evmon_retries_recent", "Retries in the last window.", "", window.retries
    )
    yield _gauge(
        "evmon_dead_letters_recent",
        "Dead letters in the last window, without those that handlers rejected.",
        "",
        window.dead_letters,
    )
    yield _gauge(
        "evmon_process_memory_unique",
        "Memory unique to this process (USS).",
        "bytes",
        metrics.memory.heap_used_mb * BYTES_PER_MB,
    )
    yield from _limits(readings)


def _limits(readings: Iterable[Reading]) -> Iterator[Metric]:
    labels = ("alert", "severity")
    limit = GaugeMetricFamily(
        "evmon_threshold_limit", "A limit, in the unit of its runbook.", labels=labels
    )
    breached = GaugeMetricFamily(
        "evmon_threshold_breached", "1 while the limit is breached.", labels=labels
    )
    value = GaugeMetricFamily(
        "evmon_threshold_value",
        "The value compared with the limit, in the unit of its runbook.",
        labels=labels[:1],
    )
    for reading in readings:
        alert = reading.monitored.alert
        if reading.value is not None:
            value.add_metric((alert,), reading.value)
        limits = (("warning", reading.warning), ("critical", reading.critical))
        for severity, number in limits:
            if number is not None:
                limit.add_metric((alert, severity), number)
                is_breached = float(reading.severity == severity)
                breached.add_metric((alert, severity), is_breached)
    yield from (limit, breached, value)


def _gauge(name: str, help_text: str, unit: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(name, help_text, unit=unit)
    if value is not None:
        family.add_metric((), value)
    return family
