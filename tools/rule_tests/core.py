"""Test data of `evmon._alerting.rules.core`."""

from evmon._alerting.promql import CACHE_HIT, series
from evmon._settings.thresholds import BYTES_PER_MB, Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.naming import prometheus_label
from tools.rule_tests.data import (
    AlertData,
    DataByAlert,
    Input,
    SilentInputs,
    enough_events,
)
from tools.rule_tests.services import evmon_process

_CACHE_MISS = f'{prometheus_label(i.CACHE_RESULT)}="miss"'
_OUTCOME = prometheus_label(i.DISCOVERY_OUTCOME)


def core_data(limits: Thresholds) -> DataByAlert:
    """Return the test data of the alerts on cache, memory and discovery."""
    return {
        ("EvmonCacheHitRateLow", "warning"): _cache_hit_rate_low(limits),
        ("EvmonCacheHitRateLow", "critical"): _cache_hit_rate_low(limits),
        ("EvmonMemoryHigh", "warning"): _memory_high(),
        ("EvmonMemoryHigh", "critical"): _memory_high(),
        ("EvmonDiscoveryProcessingSlow", "warning"): _processing_slow(limits),
        ("EvmonDiscoveryBatchP95High", "warning"): _batch_p95_high(limits),
        ("EvmonDiscoveryFailed", "warning"): _discovery_failed(),
    }


def _cache_hit_rate_low(limits: Thresholds) -> AlertData:
    minimum = limits.cache_min_lookups

    def inputs(percent: float, lookups: float) -> tuple[Input, ...]:
        hits = lookups * percent / 100
        return (
            Input(series(i.CACHE_LOOKUPS, CACHE_HIT), "counter", hits),
            Input(series(i.CACHE_LOOKUPS, _CACHE_MISS), "counter", lookups - hits),
        )

    few = SilentInputs("with little traffic", lambda value: inputs(value, minimum - 1))
    return AlertData(
        inputs=lambda value: inputs(value, enough_events(minimum, limits)),
        silent=(few,),
    )


def _memory_high() -> AlertData:
    def used(megabytes: float) -> Input:
        usage = series(i.PROCESS_MEMORY_USAGE)
        return Input(usage, "gauge", megabytes * BYTES_PER_MB)

    return AlertData(
        inputs=lambda value: (used(value), evmon_process()),
        silent=(SilentInputs("of another program", lambda value: (used(value),)),),
    )


def _processing_slow(limits: Thresholds) -> AlertData:
    minimum, batch = limits.processing_min_runs, i.DISCOVERY_BATCH_DURATION

    def inputs(average_ms: float, batches: float) -> tuple[Input, ...]:
        return (
            Input(series(i.DISCOVERY_QUEUE_SIZE), "gauge", 0),
            Input(series(batch, suffix="_count"), "counter", batches),
            Input(series(batch, suffix="_sum"), "counter", batches * average_ms / 1000),
        )

    few = SilentInputs("after few batches", lambda value: inputs(value, minimum - 1))
    return AlertData(
        inputs=lambda value: inputs(value, enough_events(minimum, limits)),
        silent=(few,) if minimum > 1 else (),
        counts_before_first_scrape=True,
        series_appear_on_failure=True,
    )


def _batch_p95_high(limits: Thresholds) -> AlertData:
    minimum, limit_ms = limits.batch_p95_min_runs, limits.processing_warning_ms

    def inputs(p95_ms: float, batches: float) -> tuple[Input, ...]:
        # All batches are in one bucket: it ends at the limit or at twice the limit.
        # histogram_quantile() interpolates, so the 95th percentile is known exactly.
        low, high = limit_ms / 1000, 2 * limit_ms / 1000
        in_low = batches if p95_ms <= limit_ms else 0.0
        bucket = series(i.DISCOVERY_BATCH_DURATION, suffix="_bucket")
        count = series(i.DISCOVERY_BATCH_DURATION, suffix="_count")
        return (
            Input(count, "counter", batches),
            Input(f'{bucket}{{le="{low:g}"}}', "counter", in_low),
            Input(f'{bucket}{{le="{high:g}"}}', "counter", batches),
            Input(f'{bucket}{{le="+Inf"}}', "counter", batches),
        )

    few = SilentInputs("after few batches", lambda value: inputs(value, minimum - 1))
    return AlertData(
        inputs=lambda value: inputs(value, enough_events(minimum, limits)),
        silent=(few,),
        firing_value=limit_ms + 0.95 * limit_ms,
        silent_value=0.95 * limit_ms,
        counts_before_first_scrape=True,
    )


def _discovery_failed() -> AlertData:
    def providers(outcome: str, count: float) -> tuple[Input, ...]:
        selector = f'{_OUTCOME}="{outcome}"'
        return (Input(series(i.DISCOVERY_PROVIDERS, selector), "gauge", count),)

    registered = SilentInputs(
        "about those it found", lambda value: providers("registered", value)
    )
    return AlertData(
        inputs=lambda value: providers("failed", value),
        silent=(registered,),
        firing_value=2,
        silent_value=0,
    )
