"""Recording rules: ``level:metric:operations``, as Prometheus' own guide names them.

A series with an ``error.type`` appears with the first failure, at a value that is not 0,
and `increase` sees nothing of what came before its first sample. So what can appear late
is summed for each process first, beside something that is there from the start: that sum
starts at 0, falls to 0 only with the process, and `increase` over it misses nothing.
"""

from dataclasses import dataclass

from evmon._alerting.promql import (
    DESTINATION,
    GROUP,
    JOB,
    PER_GROUP,
    PER_INSTANCE,
    by,
    duration,
    recent,
    series,
)
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.naming import prometheus_label

RETRIES = "job_instance:evmon_retry_attempts:sum"
EXHAUSTED = "job_instance:evmon_retry_exhausted:sum"
SERVICE = "job:evmon_service:group"
"""Jobs that are evmon services: for as long as they are scraped, down or not."""

CALLS = "job_instance:evmon_handler_calls:sum"
FAILED_CALLS = "job_instance:evmon_handler_calls_failed:sum"
BATCHES = "job_instance:evmon_discovery_batches:sum"
BATCH_SECONDS = "job_instance:evmon_discovery_batch_duration_seconds:sum"
LAG = "job_destination_group:evmon_consumer_lag:max"
_HIT_RATIO = "job_instance:evmon_cache_hit:ratio_increase"
_ERROR_RATIO = "job_instance:evmon_handler_error:ratio_increase"
_JOB_ERROR_RATIO = "job:evmon_handler_error:ratio_increase"
_BATCHES_RECENT = "job_instance:evmon_discovery_batches:increase"
_SECONDS_RECENT = "job_instance:evmon_discovery_batch_duration_seconds:increase"
_BATCH_AVERAGE = "job_instance:evmon_discovery_batch_duration_seconds:avg_increase"
_BATCH_P95 = "job_instance:evmon_discovery_batch_duration_seconds:p95_increase"
_DRAIN = "job_destination_group:evmon_consumer_drain_seconds:ratio_rate"

OURS = f'{prometheus_label(i.HANDLER)}!=""'
ERROR = f'{prometheus_label(i.ERROR_TYPE)}!=""'
HIT = f'{prometheus_label(i.CACHE_RESULT)}="hit"'
_PER_LAG = f"on (job, {DESTINATION}, {GROUP})"


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule: the name under which an expression's result is kept."""

    name: str
    expr: str


@dataclass(frozen=True, slots=True)
class Names:
    """Names of the rules that look back over the window."""

    hit_ratio: str
    error_ratio: str
    job_error_ratio: str
    batches: str
    batch_seconds: str
    batch_average: str
    batch_p95: str
    drain: str

    @classmethod
    def of(cls, limits: Thresholds) -> "Names":
        """The names for a window."""
        window = duration(limits.window_seconds)
        named = (
            *(_HIT_RATIO, _ERROR_RATIO, _JOB_ERROR_RATIO),
            *(_BATCHES_RECENT, _SECONDS_RECENT, _BATCH_AVERAGE, _BATCH_P95, _DRAIN),
        )
        return cls(*(name + window for name in named))


def recordings(limits: Thresholds) -> tuple[Recording, ...]:
    """All recording rules, each after those that it rests on."""
    window = f"[{duration(limits.window_seconds)}]"
    names = Names.of(limits)
    consumed = by(PER_GROUP, f"rate({series(i.CONSUMED_MESSAGES)}{window})")
    return (
        Recording(RETRIES, by(PER_INSTANCE, series(i.RETRY_ATTEMPTS))),
        Recording(EXHAUSTED, by(PER_INSTANCE, series(i.RETRY_EXHAUSTED))),
        Recording(
            SERVICE,
            f"group by (job) ({series(i.DISCOVERY_HANDLERS)})\n"
            f"or group by (job) (up) and on (job) last_over_time({SERVICE}[1h])",
        ),
        *_cache(names, window),
        *_handlers(names, window),
        *_discovery(names, limits.window_seconds),
        # Every consumer of a group tells the figures of the whole group.
        Recording(LAG, by(PER_GROUP, series(i.CONSUMER_LAG), "max")),
        Recording(names.drain, f"{LAG}\n/ {_PER_LAG} {consumed}"),
    )


def _from_start(expression: str, present: i.Instrument) -> str:
    present_series = by(PER_INSTANCE, series(present), "max")
    return f"{by(PER_INSTANCE, expression)}\nor 0 * {present_series}"


def _cache(names: Names, window: str) -> tuple[Recording, ...]:
    lookups = by(PER_INSTANCE, f"increase({series(i.CACHE_LOOKUPS)}{window})")
    hits = by(PER_INSTANCE, f"increase({series(i.CACHE_LOOKUPS, HIT)}{window})")
    return (Recording(names.hit_ratio, f"{hits}\n/ ({lookups} > 0)"),)


def _handlers(names: Names, window: str) -> tuple[Recording, ...]:
    # Other programs measure by the same semantic convention.
    calls = series(i.PROCESS_DURATION, OURS, "_count")
    failed = series(i.PROCESS_DURATION, f"{OURS},{ERROR}", "_count")
    part, whole = f"increase({FAILED_CALLS}{window})", f"increase({CALLS}{window})"
    return (
        Recording(CALLS, _from_start(calls, i.EVENTS_IN_FLIGHT)),
        Recording(FAILED_CALLS, _from_start(failed, i.EVENTS_IN_FLIGHT)),
        Recording(names.error_ratio, f"{part}\n/ ({whole} > 0)"),
        Recording(
            names.job_error_ratio, f"{by((JOB,), part)}\n/ ({by((JOB,), whole)} > 0)"
        ),
    )


def _discovery(names: Names, window_seconds: float) -> tuple[Recording, ...]:
    window, row = f"[{duration(window_seconds)}]", i.DISCOVERY_BATCH_DURATION
    buckets, of_bucket = series(row, suffix="_bucket"), (*PER_INSTANCE, "le")

    def in_window(recorded: str) -> str:
        return recent(recorded, f"increase({recorded}{window})", window_seconds)

    p95 = recent(
        by(of_bucket, buckets),
        by(of_bucket, f"increase({buckets}{window})"),
        window_seconds,
    )
    present = i.DISCOVERY_QUEUE_SIZE
    return (
        Recording(BATCHES, _from_start(series(row, suffix="_count"), present)),
        Recording(BATCH_SECONDS, _from_start(series(row, suffix="_sum"), present)),
        Recording(names.batches, in_window(BATCHES)),
        Recording(names.batch_seconds, in_window(BATCH_SECONDS)),
        Recording(
            names.batch_average, f"{names.batch_seconds}\n/ ({names.batches} > 0)"
        ),
        Recording(names.batch_p95, f"histogram_quantile(0.95, {p95})"),
    )
