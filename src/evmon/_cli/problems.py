"""What ``evmon check`` checks besides the monitor's limits: readiness and events."""

import re
from typing import Final

from evmon._cli.scrape import Samples, highest, label_values, total, total_of
from evmon._monitor import Finding, Recommendation
from evmon._monitor.findings import MonitoredLimit, Reading, finding_of
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.naming import prometheus_label

DLQ_LIST: Final = "evmon dlq list"
_SHELL_WORD: Final = re.compile(r"[\w@%+:,./][\w@%+:,./-]*", re.ASCII)

NOT_READY: Final = MonitoredLimit(
    "EvmonNotReady",
    "readiness",
    "",
    above=False,
    causes=(
        "the transport cannot be reached, or refuses requests",
        "the service is still starting, or is stopping",
    ),
    next_step="check its log, and whether the server of the transport responds",
)
DISCOVERY_FAILED: Final = MonitoredLimit(
    "EvmonDiscoveryFailed",
    "failed providers since startup",
    "",
    above=True,
    causes=(
        "a class needs arguments: register an instance",
        "a module or a constructor raises an error",
    ),
    next_step="run 'evmon handlers MODULE:BUS' to see the provider and the error",
)
LAG_OLD: Final = MonitoredLimit(
    "EvmonConsumerLagOld",
    "age of the oldest unread event",
    "s",
    above=True,
    causes=("events are published faster than handled", "no consumer is running"),
    next_step="check the duration of the handlers, or add processes",
)
PENDING_OLD: Final = MonitoredLimit(
    "EvmonPendingOld",
    "age of the oldest event read and not settled",
    "s",
    above=True,
    causes=("a handler hangs", "an event is retried repeatedly"),
    next_step="check the log of the handlers; set EVMON_CONSUMER_HANDLER_TIMEOUT to cancel them",
)
DEAD_LETTERS: Final = MonitoredLimit(
    "EvmonDeadLettersGrowing",
    "recent dead letters",
    "",
    above=True,
    causes=(
        "a handler fails permanently",
        "no handler is registered for an event type (unknown_type)",
    ),
    next_step="run 'evmon dlq list' to see reasons and errors",
)
DEAD_LETTERS_OLD: Final = MonitoredLimit(
    "EvmonDeadLetterQueueOld",
    "age of the oldest dead letter",
    "s",
    above=True,
    causes=("dead letters have not been replayed or purged",),
    next_step="run 'evmon dlq list', then replay or purge them",
)


def problems(
    samples: Samples, not_ready: str | None, limits: Thresholds
) -> list[Recommendation]:
    """Problems and what to do about them, readiness first.

    Args:
        samples: samples scraped from the service.
        not_ready: reason from ``/readyz`` why the service is not ready.
        limits: limits on the ages of events.
    """
    found = []
    if not_ready:
        message = f"/readyz reports: {not_ready}"
        finding = Finding(NOT_READY.alert, "critical", 0, 1, "", message)
        found.append(_recommendation(NOT_READY, finding, samples))
    outcome = prometheus_label(i.DISCOVERY_OUTCOME)
    for reading in (
        Reading(
            DISCOVERY_FAILED,
            total(samples, i.DISCOVERY_PROVIDERS, **{outcome: "failed"}),
            0,
        ),
        Reading(
            LAG_OLD,
            highest(samples, i.CONSUMER_UNREAD_AGE),
            limits.lag_age_warning_seconds,
            limits.lag_age_critical_seconds,
        ),
        Reading(
            PENDING_OLD,
            _pending_delay(samples),
            limits.pending_age_warning_seconds,
            limits.pending_age_critical_seconds,
        ),
        Reading(DEAD_LETTERS, total_of(samples, "evmon_dead_letters_recent"), 0),
        Reading(
            DEAD_LETTERS_OLD,
            highest(samples, i.DEAD_LETTER_QUEUE_AGE),
            limits.dead_letter_age_warning_seconds,
        ),
    ):
        breach = finding_of(reading)
        if breach is not None:
            found.append(_recommendation(reading.monitored, breach, samples))
    return found


def _pending_delay(samples: Samples) -> float | None:
    """Seconds by which the oldest pending event is older than the oldest unread one."""
    pending = highest(samples, i.CONSUMER_PENDING_AGE)
    unread = highest(samples, i.CONSUMER_UNREAD_AGE)
    return None if pending is None else pending - (unread or 0)


def event_counts(samples: Samples) -> dict[str, int | None]:
    """Number of unread, pending and dead-lettered events; None if unknown."""
    counts = {
        "unread": highest(samples, i.CONSUMER_LAG),
        "pending": highest(samples, i.CONSUMER_PENDING),
        "dead_letters": highest(samples, i.DEAD_LETTER_QUEUE_SIZE),
    }
    return {
        name: None if value is None else int(value) for name, value in counts.items()
    }


def event_counts_line(counts: dict[str, int | None]) -> str:
    """The known counts as a line of the summary; empty if none is known."""
    known = [
        f"{value} {name.replace('_', ' ')}"
        for name, value in counts.items()
        if value is not None
    ]
    return f"  Events: {', '.join(known)}" if known else ""


def _recommendation(
    monitored: MonitoredLimit, finding: Finding, samples: Samples
) -> Recommendation:
    next_step = monitored.next_step
    if DLQ_LIST in next_step:
        if {"memory"} == label_values(samples, i.SYSTEM):
            next_step = "check the log: with memory://, only the process can list them"
        else:
            service = _service(samples) or "SERVICE"
            next_step = next_step.replace(DLQ_LIST, f"{DLQ_LIST} --service {service}")
    return Recommendation(finding, monitored.causes, next_step, monitored.alert)


def _service(samples: Samples) -> str:
    """The service whose events are handled; empty if unknown or unfit for a shell."""
    names = label_values(samples, i.DESTINATION, beside=i.GROUP)
    service = min(names, key=len, default="")
    one = all(f"{name}:".startswith(f"{service}:") for name in names)
    return service if one and _SHELL_WORD.fullmatch(service) else ""
