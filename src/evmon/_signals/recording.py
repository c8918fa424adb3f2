"""Recording rules: ``level:metric:operations``, as Prometheus' own guide names them.

A series with an ``error.type`` appears with the first failure, at a value that is not 0,
and `increase` sees nothing of what came before its first sample. So what can appear late
is summed for each process first, beside something that is there from the start: that sum
starts at 0, falls to 0 only with the process, and `increase` over it misses nothing.
"""

from dataclasses import dataclass

from evmon._signals.promql import (
    DESTINATION,
    GROUP,
    PER_GROUP,
    PER_INSTANCE,
    by,
    duration,
    series,
)
from evmon._telemetry import instruments as i
from evmon._telemetry.naming import prometheus_label
from evmon._thresholds import Thresholds

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
    batch_average: str
    batch_p95: str
    drain: str

    @classmethod
    def of(cls, limits: Thresholds) -> "Names":
        """The names for a window."""
        window = duration(limits.window_seconds)
        named = (_HIT_RATIO, _ERROR_RATIO, _BATCH_AVERAGE, _BATCH_P95, _DRAIN)
        return cls(*(name + window for name in named))


def recordings(limits: Thresholds) -> tuple[Recording, ...]:
    """All recording rules, each after those that it rests on."""
    window = f"[{duration(limits.window_seconds)}]"
    names = Names.of(limits)

    def per_process(expression: str) -> str:
        return by(PER_INSTANCE, expression)

    def from_start(expression: str, present: i.Instrument) -> str:
        present_series = by(PER_INSTANCE, series(present), "max")
        return f"{per_process(expression)}\nor 0 * {present_series}"

    def share(part: str, whole: str) -> str:
        return f"increase({part}{window})\n/ (increase({whole}{window}) > 0)"

    lookups = f"increase({series(i.CACHE_LOOKUPS)}{window})"
    hits = f"increase({series(i.CACHE_LOOKUPS, HIT)}{window})"
    buckets = series(i.DISCOVERY_BATCH_DURATION, suffix="_bucket")
    p95 = by((*PER_INSTANCE, "le"), f"increase({buckets}{window})")
    # Other programs measure by the same semantic convention.
    calls = series(i.PROCESS_DURATION, OURS, "_count")
    failed = series(i.PROCESS_DURATION, f"{OURS},{ERROR}", "_count")
    batches = series(i.DISCOVERY_BATCH_DURATION, suffix="_count")
    seconds = series(i.DISCOVERY_BATCH_DURATION, suffix="_sum")
    consumed = by(PER_GROUP, f"rate({series(i.CONSUMED_MESSAGES)}{window})")
    return (
        Recording(RETRIES, per_process(series(i.RETRY_ATTEMPTS))),
        Recording(EXHAUSTED, per_process(series(i.RETRY_EXHAUSTED))),
        Recording(
            SERVICE,
            f"group by (job) ({series(i.DISCOVERY_HANDLERS)})\n"
            f"or group by (job) (up) and on (job) last_over_time({SERVICE}[1h])",
        ),
        Recording(CALLS, from_start(calls, i.EVENTS_IN_FLIGHT)),
        Recording(FAILED_CALLS, from_start(failed, i.EVENTS_IN_FLIGHT)),
        Recording(BATCHES, from_start(batches, i.DISCOVERY_QUEUE_SIZE)),
        Recording(BATCH_SECONDS, from_start(seconds, i.DISCOVERY_QUEUE_SIZE)),
        # Every consumer of a group tells the figures of the whole group.
        Recording(LAG, by(PER_GROUP, series(i.CONSUMER_LAG), "max")),
        Recording(
            names.hit_ratio, f"{per_process(hits)}\n/ ({per_process(lookups)} > 0)"
        ),
        Recording(names.error_ratio, share(FAILED_CALLS, CALLS)),
        Recording(names.batch_average, share(BATCH_SECONDS, BATCHES)),
        Recording(names.batch_p95, f"histogram_quantile(0.95, {p95})"),
        Recording(names.drain, f"{LAG}\n/ {_PER_LAG} {consumed}"),
    )
