"""What is wrong, why that may be, and what to do next; pure."""

from dataclasses import dataclass
from typing import Final, Literal

from evmon._monitor.figures import Totals
from evmon._thresholds import Thresholds

Severity = Literal["warning", "critical"]


@dataclass(frozen=True, slots=True)
class Signal:
    """One of the things that have a limit.

    Attributes:
        alert: name of the warning, of the alert rule and of the runbook.
        subject: what is measured, for people.
        unit: of value and limit.
        above: whether it is bad to be above the limit (or below it).
        causes: what is likely behind it.
        next_step: what to do first.
    """

    alert: str
    subject: str
    unit: str
    above: bool
    causes: tuple[str, ...]
    next_step: str


CACHE_HIT_RATE: Final = Signal(
    "EvmonCacheHitRateLow",
    "metadata cache hit rate",
    "%",
    above=False,
    causes=(
        "providers are made anew for each registration, so nothing is looked up twice",
        "the TTL is shorter than the time between two registrations of a provider",
        "providers cannot be weakly referenced (__slots__ without __weakref__)",
    ),
    next_step=(
        "look at evmon_cache_evictions_total by reason: 'expired' asks for a longer"
        " EVMON_DISCOVERY_CACHE_TTL_SECONDS, 'collected' for providers that live longer"
    ),
)
MEMORY: Final = Signal(
    "EvmonMemoryHigh",
    "resident memory",
    "MB",
    above=True,
    causes=(
        "events are in flight or buffered faster than handlers finish them",
        "handlers keep references to events or results",
        "the service simply needs more than the limit allows",
    ),
    next_step=(
        "compare process_memory_usage_bytes with evmon_events_in_flight over the same"
        " time: if they rise together lower EVMON_CONSUMER_MAX_CONCURRENCY, else look"
        " for what handlers keep (tracemalloc)"
    ),
)
PROCESSING: Final = Signal(
    "EvmonDiscoveryProcessingSlow",
    "average discovery batch duration",
    "ms",
    above=True,
    causes=(
        "a module does work when it is imported",
        "a provider's constructor waits for a server",
        "the event loop is blocked by a handler that should be a plain function",
    ),
    next_step=(
        "lower EVMON_DISCOVERY_BATCH_SIZE to see which providers are slow, and move"
        " their work out of import and constructor"
    ),
)
RETRIES: Final = Signal(
    "EvmonRetriesHigh",
    "retries",
    "",
    above=True,
    causes=(
        "something that handlers depend on is down or slow",
        "an error that no retry can heal is retried: name those that can in retry_on",
        "a provider fails while it is looked at",
    ),
    next_step=(
        "look at evmon_retry_attempts_total by evmon_retry_component and error_type,"
        " and at the log of the handler that fails"
    ),
)
HANDLER_ERRORS: Final = Signal(
    "EvmonHandlerErrorsHigh",
    "share of handler calls that failed",
    "%",
    above=True,
    causes=(
        "a release brought a fault into a handler",
        "something that handlers depend on is down",
        "publishers send data that handlers do not take",
    ),
    next_step=(
        "look at messaging_process_duration_seconds_count by evmon_handler_name and"
        " error_type to see which handler fails with what, then at its dead letters"
    ),
)
SIGNALS: Final = (CACHE_HIT_RATE, MEMORY, PROCESSING, RETRIES, HANDLER_ERRORS)


@dataclass(frozen=True, slots=True)
class Reading:
    """A signal's value in the last window, and its limits.

    Attributes:
        value: in the signal's unit; None when there was too little traffic to tell.
    """

    signal: Signal
    value: float | None
    warning: float
    critical: float | None = None

    @property
    def severity(self) -> Severity | None:
        """How bad the value is; None when it is within its limits or unknown."""
        if self.critical is not None and self._breaches(self.critical):
            return "critical"
        return "warning" if self._breaches(self.warning) else None

    def _breaches(self, limit: float) -> bool:
        if self.value is None:
            return False
        return self.value > limit if self.signal.above else self.value < limit


@dataclass(frozen=True, slots=True)
class Finding:
    """A limit that is breached.

    Attributes:
        alert: name, the same as of the alert rule.
        severity: warning or critical.
        value: what was seen, in `unit`.
        limit: what was allowed, in `unit`.
        unit: ``%``, ``MB``, ``ms`` or nothing.
        message: all of that in one line.
    """

    alert: str
    severity: Severity
    value: float
    limit: float
    unit: str
    message: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do about a finding.

    Attributes:
        finding: what was seen.
        causes: what is likely behind it.
        next_step: what to do first.
        runbook: name of the page with the rest.
    """

    finding: Finding
    causes: tuple[str, ...]
    next_step: str
    runbook: str


def readings(
    window: Totals, memory_mb: float, limits: Thresholds, *, warm: bool
) -> tuple[Reading, ...]:
    """Hold the last window against the limits.

    Args:
        window: what happened in it.
        memory_mb: resident memory now.
        limits: the limits.
        warm: whether the window began after the start: a cache that is filled for the
            first time misses, and nothing is wrong with it.
    """
    rate_is_meant = warm and window.lookups >= limits.cache_min_lookups
    average_is_meant = window.batches.count >= limits.processing_min_runs
    errors_are_meant = window.calls >= limits.handler_errors_min_calls
    return (
        Reading(
            CACHE_HIT_RATE,
            window.hit_rate if rate_is_meant else None,
            limits.cache_hit_rate_warning_percent,
            limits.cache_hit_rate_critical_percent,
        ),
        Reading(MEMORY, memory_mb, limits.memory_warning_mb, limits.memory_critical_mb),
        Reading(
            PROCESSING,
            window.average_batch_ms if average_is_meant else None,
            limits.processing_warning_ms,
        ),
        Reading(RETRIES, window.retries, limits.retries_warning),
        Reading(
            HANDLER_ERRORS,
            window.error_rate if errors_are_meant else None,
            limits.handler_errors_warning_percent,
            limits.handler_errors_critical_percent,
        ),
    )


def finding_of(reading: Reading) -> Finding | None:
    """The finding of a reading; None when it breaches nothing."""
    severity = reading.severity
    if severity is None or reading.value is None:
        return None
    critical = reading.critical if severity == "critical" else None
    limit = reading.warning if critical is None else critical
    signal = reading.signal
    relation = "above" if signal.above else "below"
    return Finding(
        signal.alert,
        severity,
        reading.value,
        limit,
        signal.unit,
        f"{signal.subject} {_number(reading.value)}{signal.unit} is {relation} the"
        f" limit of {_number(limit)}{signal.unit}",
    )


def recommend(finding: Finding) -> Recommendation:
    """Say what to do about a finding."""
    signal = next(s for s in SIGNALS if s.alert == finding.alert)
    return Recommendation(finding, signal.causes, signal.next_step, finding.alert)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
