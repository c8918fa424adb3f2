"""The recording rules, named ``level:metric:operations`` as Prometheus recommends.

A series with an ``error.type`` appears with the first failure, at a value above 0, and
`increase` ignores a series' first value. Such series are therefore recorded as a sum per
bus that is 0 until the first failure; the increase of that sum misses nothing.
"""

from dataclasses import dataclass

from evmon._alerting.promql import (
    CACHE_HIT,
    PER_BUS,
    PER_CONSUMER,
    PER_DESTINATION,
    PER_GROUP,
    PER_SERVICE,
    SHARED_GROUP,
    WITH_ERROR,
    WITH_HANDLER,
    by,
    duration,
    on,
    series,
)
from evmon._alerting.rules import scrapes
from evmon._alerting.rules.counting import (
    increase_or_total,
    recorded_count_in_window,
    recorded_count_of_a_life,
)
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument

RETRIES = "job_instance_bus:evmon_retry_attempts:sum"
EXHAUSTED = "job_instance_bus:evmon_retry_exhausted:sum"
SERVICE = "job:evmon_service:group"
"""Jobs that are evmon services, for as long as they are scraped, up or down."""

CALLS = "job_instance_bus:evmon_handler_calls:sum"
FAILED_CALLS = "job_instance_bus:evmon_handler_calls_failed:sum"
BATCHES = "job_instance_bus:evmon_discovery_batches:sum"
BATCH_SECONDS = "job_instance_bus:evmon_discovery_batch_duration_seconds:sum"
CONSUMED = "job_instance_bus_destination_group:messaging_client_consumed_messages:sum"
LAG = "job_bus_destination_group:evmon_consumer_lag:max"
DEAD_LETTERS_KEPT = "job_bus_destination:evmon_dead_letter_queue_size:max"

# The names below end in the length of the window: see `windowed`.
RETRIES_INCREASE = "job_instance_bus:evmon_retry_attempts:increase"
HIT_RATIO = "job_instance_bus:evmon_cache_hit:ratio_increase"
LOOKUPS_INCREASE = "job_instance_bus:evmon_cache_lookups:increase"
ERROR_RATIO = "job_instance_bus:evmon_handler_error:ratio_increase"
JOB_ERROR_RATIO = "job_bus:evmon_handler_error:ratio_increase"
CALLS_INCREASE = "job_instance_bus:evmon_handler_calls:increase"
FAILED_INCREASE = "job_instance_bus:evmon_handler_calls_failed:increase"
CONSUMED_INCREASE = (
    "job_instance_bus_destination_group:messaging_client_consumed_messages:increase"
)
BATCHES_INCREASE = "job_instance_bus:evmon_discovery_batches:increase"
BATCH_SECONDS_INCREASE = (
    "job_instance_bus:evmon_discovery_batch_duration_seconds:increase"
)
BATCH_AVERAGE = "job_instance_bus:evmon_discovery_batch_duration_seconds:avg_increase"
BATCH_P95 = "job_instance_bus:evmon_discovery_batch_duration_seconds:p95_increase"
DRAIN_SECONDS = "job_bus_destination_group:evmon_consumer_drain_seconds:ratio_rate"


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """A recording rule: the name under which Prometheus stores an expression's result."""

    name: str
    expr: str


def windowed(name: str, limits: Thresholds) -> str:
    """Append the length of the window to the name of a recording rule.

    Example:
        >>> windowed(HIT_RATIO, Thresholds(window_seconds=300))
        'job_instance_bus:evmon_cache_hit:ratio_increase5m'
    """
    return f"{name}{duration(limits.window_seconds)}"


def recording_rules(limits: Thresholds) -> tuple[RecordingRule, ...]:
    """Return all recording rules, each after those that it uses."""
    return (
        RecordingRule(RETRIES, by(PER_BUS, series(i.RETRY_ATTEMPTS))),
        RecordingRule(
            windowed(RETRIES_INCREASE, limits),
            recorded_count_of_a_life(RETRIES, limits),
        ),
        RecordingRule(EXHAUSTED, by(PER_BUS, series(i.RETRY_EXHAUSTED))),
        RecordingRule(
            SERVICE,
            f"group by (job) ({series(i.DISCOVERY_HANDLERS)})\n"
            f"or group by (job) (up) and on (job) last_over_time({SERVICE}[1h])",
        ),
        RecordingRule(scrapes.REMOVED, scrapes.REMOVED_TARGETS),
        *_cache(limits),
        *_handlers(limits),
        *_discovery(limits),
        *_groups(limits),
        RecordingRule(
            DEAD_LETTERS_KEPT,
            scrapes.shared_gauge(i.DEAD_LETTER_QUEUE_SIZE, PER_DESTINATION),
        ),
    )


def _sum_from_zero(
    counter: str, present: Instrument, labels: tuple[str, ...] = PER_BUS
) -> str:
    """Sum a counter; 0 where a process has `present` but no such series."""
    present_series = by(labels, series(present), "max")
    return f"{by(labels, counter)}\nor 0 * {present_series}"


def _cache(limits: Thresholds) -> tuple[RecordingRule, ...]:
    window = f"[{duration(limits.window_seconds)}]"
    lookups = windowed(LOOKUPS_INCREASE, limits)
    hits = by(PER_BUS, f"increase({series(i.CACHE_LOOKUPS, CACHE_HIT)}{window})")
    return (
        RecordingRule(
            lookups, by(PER_BUS, f"increase({series(i.CACHE_LOOKUPS)}{window})")
        ),
        RecordingRule(windowed(HIT_RATIO, limits), f"{hits}\n/ ({lookups} > 0)"),
    )


def _handlers(limits: Thresholds) -> tuple[RecordingRule, ...]:
    every = series(i.PROCESS_DURATION, WITH_HANDLER, "_count")
    only_failed = series(i.PROCESS_DURATION, f"{WITH_HANDLER},{WITH_ERROR}", "_count")
    calls = windowed(CALLS_INCREASE, limits)
    failed = windowed(FAILED_INCREASE, limits)
    return (
        RecordingRule(CALLS, _sum_from_zero(every, i.EVENTS_IN_FLIGHT)),
        RecordingRule(FAILED_CALLS, _sum_from_zero(only_failed, i.EVENTS_IN_FLIGHT)),
        RecordingRule(calls, recorded_count_in_window(CALLS, every, limits)),
        RecordingRule(
            failed, recorded_count_in_window(FAILED_CALLS, only_failed, limits)
        ),
        RecordingRule(windowed(ERROR_RATIO, limits), f"{failed}\n/ ({calls} > 0)"),
        RecordingRule(
            windowed(JOB_ERROR_RATIO, limits),
            f"{by(PER_SERVICE, failed)}\n/ ({by(PER_SERVICE, calls)} > 0)",
        ),
    )


def _groups(limits: Thresholds) -> tuple[RecordingRule, ...]:
    """Return the rules on consumer groups; several services may share a group."""
    window = f"[{duration(limits.window_seconds)}]"
    consumed = series(i.CONSUMED_MESSAGES)
    rate = by(SHARED_GROUP, f"rate({consumed}{window})")
    return (
        # Every consumer of a group reports the lag of the whole group.
        RecordingRule(LAG, scrapes.shared_gauge(i.CONSUMER_LAG, PER_GROUP)),
        RecordingRule(
            windowed(DRAIN_SECONDS, limits),
            f"{LAG}\n/ {on(SHARED_GROUP)} group_left () {rate}",
        ),
        RecordingRule(
            CONSUMED, _sum_from_zero(consumed, i.CONSUMER_LAG_KNOWN, PER_CONSUMER)
        ),
        RecordingRule(
            windowed(CONSUMED_INCREASE, limits),
            recorded_count_in_window(CONSUMED, consumed, limits, PER_CONSUMER),
        ),
    )


def _discovery(limits: Thresholds) -> tuple[RecordingRule, ...]:
    instrument, present = i.DISCOVERY_BATCH_DURATION, i.DISCOVERY_QUEUE_SIZE
    batches = windowed(BATCHES_INCREASE, limits)
    batch_seconds = windowed(BATCH_SECONDS_INCREASE, limits)
    window = f"[{duration(limits.window_seconds)}]"
    buckets, per_bucket = series(instrument, suffix="_bucket"), (*PER_BUS, "le")

    def in_window(recorded: str) -> str:
        total, increase = (
            f"{name}({recorded}{window})" for name in ("last_over_time", "increase")
        )
        return increase_or_total(total, increase, limits.window_seconds)

    buckets_in_window = increase_or_total(
        by(per_bucket, f"last_over_time({buckets}{window})"),
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
