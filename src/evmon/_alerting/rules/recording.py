"""The recording rules, named ``level:metric:operations`` as Prometheus recommends.

A series with an ``error.type`` appears with the first failure, at a value above 0, and
`increase` ignores a series' first value. Such series are therefore recorded as a sum per
process that is 0 until the first failure; the increase of that sum misses nothing.
"""

from dataclasses import dataclass

from evmon._alerting.promql import (
    CACHE_HIT,
    JOB,
    ON_GROUP,
    PER_GROUP,
    PER_INSTANCE,
    WITH_ERROR,
    WITH_HANDLER,
    by,
    duration,
    increase_or_total,
    series,
)
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument

RETRIES = "job_instance:evmon_retry_attempts:sum"
EXHAUSTED = "job_instance:evmon_retry_exhausted:sum"
SERVICE = "job:evmon_service:group"
"""Jobs that are evmon services, for as long as they are scraped, up or down."""

CALLS = "job_instance:evmon_handler_calls:sum"
FAILED_CALLS = "job_instance:evmon_handler_calls_failed:sum"
BATCHES = "job_instance:evmon_discovery_batches:sum"
BATCH_SECONDS = "job_instance:evmon_discovery_batch_duration_seconds:sum"
LAG = "job_destination_group:evmon_consumer_lag:max"

# The names below end in the length of the window: see `windowed`.
HIT_RATIO = "job_instance:evmon_cache_hit:ratio_increase"
ERROR_RATIO = "job_instance:evmon_handler_error:ratio_increase"
JOB_ERROR_RATIO = "job:evmon_handler_error:ratio_increase"
BATCHES_INCREASE = "job_instance:evmon_discovery_batches:increase"
BATCH_SECONDS_INCREASE = "job_instance:evmon_discovery_batch_duration_seconds:increase"
BATCH_AVERAGE = "job_instance:evmon_discovery_batch_duration_seconds:avg_increase"
BATCH_P95 = "job_instance:evmon_discovery_batch_duration_seconds:p95_increase"
DRAIN_SECONDS = "job_destination_group:evmon_consumer_drain_seconds:ratio_rate"


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """A recording rule: the name under which Prometheus stores an expression's result."""

    name: str
    expr: str


def windowed(name: str, limits: Thresholds) -> str:
    """Append the length of the window to the name of a recording rule.

    Example:
        >>> windowed(HIT_RATIO, Thresholds(window_seconds=300))
        'job_instance:evmon_cache_hit:ratio_increase5m'
    """
    return f"{name}{duration(limits.window_seconds)}"


def recording_rules(limits: Thresholds) -> tuple[RecordingRule, ...]:
    """Return all recording rules, each after those that it uses."""
    window = f"[{duration(limits.window_seconds)}]"
    consumed = by(PER_GROUP, f"rate({series(i.CONSUMED_MESSAGES)}{window})")
    return (
        RecordingRule(RETRIES, by(PER_INSTANCE, series(i.RETRY_ATTEMPTS))),
        RecordingRule(EXHAUSTED, by(PER_INSTANCE, series(i.RETRY_EXHAUSTED))),
        RecordingRule(
            SERVICE,
            f"group by (job) ({series(i.DISCOVERY_HANDLERS)})\n"
            f"or group by (job) (up) and on (job) last_over_time({SERVICE}[1h])",
        ),
        _cache(limits),
        *_handlers(limits),
        *_discovery(limits),
        # Every consumer of a group reports the lag of the whole group.
        RecordingRule(LAG, by(PER_GROUP, series(i.CONSUMER_LAG), "max")),
        RecordingRule(
            windowed(DRAIN_SECONDS, limits), f"{LAG}\n/ {ON_GROUP} {consumed}"
        ),
    )


def _sum_from_zero(counter: str, present: Instrument) -> str:
    """Sum a counter per process; 0 where a process has `present` but no such series."""
    present_series = by(PER_INSTANCE, series(present), "max")
    return f"{by(PER_INSTANCE, counter)}\nor 0 * {present_series}"


def _cache(limits: Thresholds) -> RecordingRule:
    window = f"[{duration(limits.window_seconds)}]"
    lookups = by(PER_INSTANCE, f"increase({series(i.CACHE_LOOKUPS)}{window})")
    hits = by(PER_INSTANCE, f"increase({series(i.CACHE_LOOKUPS, CACHE_HIT)}{window})")
    return RecordingRule(windowed(HIT_RATIO, limits), f"{hits}\n/ ({lookups} > 0)")


def _handlers(limits: Thresholds) -> tuple[RecordingRule, ...]:
    window = f"[{duration(limits.window_seconds)}]"
    calls = series(i.PROCESS_DURATION, WITH_HANDLER, "_count")
    failed = series(i.PROCESS_DURATION, f"{WITH_HANDLER},{WITH_ERROR}", "_count")
    failed_increase = f"increase({FAILED_CALLS}{window})"
    increase = f"increase({CALLS}{window})"
    return (
        RecordingRule(CALLS, _sum_from_zero(calls, i.EVENTS_IN_FLIGHT)),
        RecordingRule(FAILED_CALLS, _sum_from_zero(failed, i.EVENTS_IN_FLIGHT)),
        RecordingRule(
            windowed(ERROR_RATIO, limits), f"{failed_increase}\n/ ({increase} > 0)"
        ),
        RecordingRule(
            windowed(JOB_ERROR_RATIO, limits),
            f"{by((JOB,), failed_increase)}\n/ ({by((JOB,), increase)} > 0)",
        ),
    )


def _discovery(limits: Thresholds) -> tuple[RecordingRule, ...]:
    instrument, present = i.DISCOVERY_BATCH_DURATION, i.DISCOVERY_QUEUE_SIZE
    batches = windowed(BATCHES_INCREASE, limits)
    batch_seconds = windowed(BATCH_SECONDS_INCREASE, limits)
    window = f"[{duration(limits.window_seconds)}]"
    buckets, per_bucket = series(instrument, suffix="_bucket"), (*PER_INSTANCE, "le")

    def in_window(recorded: str) -> str:
        increase = f"increase({recorded}{window})"
        return increase_or_total(recorded, increase, limits.window_seconds)

    buckets_in_window = increase_or_total(
        by(per_bucket, buckets),
        by(per_bucket, f"increase({buckets}{window})"),
        limits.window_seconds,
    )
    count = series(instrument, suffix="_count")
    seconds = series(instrument, suffix="_sum")
    return (
        RecordingRule(BATCHES, _sum_from_zero(count, present)),
        RecordingRule(BATCH_SECONDS, _sum_from_zero(seconds, present)),
        RecordingRule(batches, in_window(BATCHES)),
        RecordingRule(batch_seconds, in_window(BATCH_SECONDS)),
        RecordingRule(
            windowed(BATCH_AVERAGE, limits), f"{batch_seconds}\n/ ({batches} > 0)"
        ),
        RecordingRule(
            windowed(BATCH_P95, limits),
            f"histogram_quantile(0.95, {buckets_in_window})",
        ),
    )
