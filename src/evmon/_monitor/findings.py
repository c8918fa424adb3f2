"""Findings, their likely causes and the next step."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from evmon._monitor.metrics import Totals
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument

Severity = Literal["warning", "critical"]


@dataclass(frozen=True, slots=True)
class MonitoredLimit:
    """A measured quantity that has a limit.

    Attributes:
        alert: name of the warning, the alert rule and the runbook.
        subject: name of the quantity in messages.
        unit: unit of the value and the limit.
        above: True if the limit is a maximum, False if it is a minimum.
        causes: likely causes.
        next_step: first thing to do.
    """

    alert: str
    subject: str
    unit: str
    above: bool
    causes: tuple[str, ...]
    next_step: str


CACHE_HIT_RATE: Final = MonitoredLimit(
    "EvmonCacheHitRateLow",
    "metadata cache hit rate",
    "%",
    above=False,
    causes=(
        "providers are recreated for each registration, so no lookup can hit",
        "the TTL is shorter than the time between two registrations of a provider",
        "providers cannot be weakly referenced (__slots__ without __weakref__)",
    ),
    next_step=(
        "check evmon_cache_evictions_total by reason: for 'expired' raise"
        " EVMON_DISCOVERY_CACHE_TTL_SECONDS, for 'collected' keep providers alive longer"
    ),
)
MEMORY: Final = MonitoredLimit(
    "EvmonMemoryHigh",
    "resident memory",
    "MB",
    above=True,
    causes=(
        "events are read or buffered faster than handlers finish them",
        "handlers keep references to events or results",
        "the service needs more memory than the limit allows",
    ),
    next_step=(
        "compare process_memory_usage_bytes with evmon_events_in_flight over the same"
        " period: if they rise together lower EVMON_CONSUMER_MAX_CONCURRENCY, otherwise"
        " trace what handlers keep (tracemalloc)"
    ),
)
PROCESSING: Final = MonitoredLimit(
    "EvmonDiscoveryProcessingSlow",
    "average discovery batch duration",
    "ms",
    above=True,
    causes=(
        "a module does slow work at import",
        "a provider's constructor waits for a server",
        "a coroutine handler blocks the event loop; make it a plain function",
    ),
    next_step=(
        "search the log of evmon.discovery for 'took': it names the slow providers; move"
        " their work out of import and constructor"
    ),
)
RETRIES: Final = MonitoredLimit(
    "EvmonRetriesHigh",
    "retries",
    "",
    above=True,
    causes=(
        "a dependency of the handlers is down or slow",
        "a permanent error is retried; list only transient errors in retry_on",
        "a provider fails while it is scanned",
    ),
    next_step=(
        "check evmon_retry_attempts_total by evmon_retry_component and error_type,"
        " then the log of the failing handler"
    ),
)
HANDLER_ERRORS: Final = MonitoredLimit(
    "EvmonHandlerErrorsHigh",
    "share of handler calls that failed",
    "%",
    above=True,
    causes=(
        "a release introduced a bug in a handler",
        "a dependency of the handlers is down",
        "publishers send data that handlers do not accept",
    ),
    next_step=(
        "check messaging_process_duration_seconds_count by evmon_handler_name and"
        " error_type to find the failing handler and its error, then its dead letters"
    ),
)
MONITORED_LIMITS: Final = (CACHE_HIT_RATE, MEMORY, PROCESSING, RETRIES, HANDLER_ERRORS)


@dataclass(frozen=True, slots=True)
class Reading:
    """A monitored value in the last window, and its limits.

    Attributes:
        monitored: quantity that was measured.
        value: value in the unit of `monitored`; None if there was too little traffic.
        warning: limit for a warning.
        critical: limit for a critical finding, if there is one.
        measured: whether the value is measured at all.
    """

    monitored: MonitoredLimit
    value: float | None
    warning: float
    critical: float | None = None
    measured: bool = True

    @property
    def severity(self) -> Severity | None:
        """Severity of the breached limit; None if the value is within limits or unknown."""
        if self.critical is not None and self._breaches(self.critical):
            return "critical"
        return "warning" if self._breaches(self.warning) else None

    def _breaches(self, limit: float) -> bool:
        if self.value is None:
            return False
        return self.value > limit if self.monitored.above else self.value < limit


@dataclass(frozen=True, slots=True)
class Finding:
    """A breached limit.

    Attributes:
        alert: name of the alert rule and the runbook.
        severity: ``warning`` or ``critical``.
        value: measured value, in `unit`.
        limit: breached limit, in `unit`.
        unit: ``%``, ``MB``, ``ms``, ``s`` or empty.
        message: subject, value and limit in one line.

    Example:
        >>> [finding.message for finding in bus.monitor.get_warnings()]
        ['retries: 17, above the limit of 10']
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
        finding: the breached limit.
        causes: likely causes.
        next_step: first thing to do.
        runbook: name of the runbook page, without ``.md``.

    Example:
        >>> [advice.runbook for advice in bus.monitor.get_recommendations()]
        ['EvmonRetriesHigh']
    """

    finding: Finding
    causes: tuple[str, ...]
    next_step: str
    runbook: str


def readings(
    window: Totals,
    memory_mb: float,
    limits: Thresholds,
    *,
    warm: bool,
    unseen: Collection[Instrument] = (),
) -> tuple[Reading, ...]:
    """Compare the last window with the limits.

    Args:
        window: counters of the window.
        memory_mb: resident memory in MB.
        limits: limits.
        warm: whether the window began after startup, when the cache is still empty.
        unseen: instruments that are not measured.
    """
    enough_lookups = warm and window.lookups >= limits.cache_min_lookups
    enough_batches = window.batches.count >= limits.processing_min_runs
    enough_calls = (window.calls or 0) >= limits.handler_errors_min_calls
    return (
        Reading(
            CACHE_HIT_RATE,
            window.hit_rate if enough_lookups else None,
            limits.cache_hit_rate_warning_percent,
            limits.cache_hit_rate_critical_percent,
            measured=i.CACHE_LOOKUPS not in unseen,
        ),
        Reading(MEMORY, memory_mb, limits.memory_warning_mb, limits.memory_critical_mb),
        Reading(
            PROCESSING,
            window.average_batch_ms if enough_batches else None,
            limits.processing_warning_ms,
            measured=i.DISCOVERY_BATCH_DURATION not in unseen,
        ),
        Reading(
            RETRIES,
            window.retries,
            limits.retries_warning,
            measured=i.RETRY_ATTEMPTS not in unseen,
        ),
        Reading(
            HANDLER_ERRORS,
            window.error_rate if enough_calls else None,
            limits.handler_errors_warning_percent,
            limits.handler_errors_critical_percent,
            measured=i.PROCESS_DURATION not in unseen,
        ),
    )


def finding_of(reading: Reading) -> Finding | None:
    """The finding of a reading; None if no limit is breached."""
    severity = reading.severity
    if severity is None or reading.value is None:
        return None
    critical = reading.critical if severity == "critical" else None
    limit = reading.warning if critical is None else critical
    monitored = reading.monitored
    relation = "above" if monitored.above else "below"
    return Finding(
        monitored.alert,
        severity,
        reading.value,
        limit,
        monitored.unit,
        f"{monitored.subject}: {_number(reading.value)}{monitored.unit}, {relation} the limit"
        f" of {_number(limit)}{monitored.unit}",
    )


def recommend(finding: Finding) -> Recommendation:
    """The recommendation for a finding."""
    monitored = next(m for m in MONITORED_LIMITS if m.alert == finding.alert)
    return Recommendation(finding, monitored.causes, monitored.next_step, finding.alert)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
