"""What ``evmon check`` looks at beside the monitor's limits: readiness and events."""

from typing import Final

from evmon._cli.scrape import Samples, highest, total, total_of
from evmon._monitor import Finding, Recommendation
from evmon._monitor.findings import Reading, Signal, finding_of
from evmon._telemetry import instruments as i
from evmon._telemetry.naming import prometheus_label
from evmon._thresholds import Thresholds

NOT_READY: Final = Signal(
    "EvmonNotReady",
    "readiness",
    "",
    above=False,
    causes=(
        "the transport cannot be reached, or refuses what it is asked",
        "the service starts still, or is about to stop",
    ),
    next_step="look at its log, and whether the transport's server answers",
)
DISCOVERY_FAILED: Final = Signal(
    "EvmonDiscoveryFailed",
    "number of providers without their handlers since the start",
    "",
    above=True,
    causes=(
        "a class needs arguments: register an instance",
        "a module or a constructor raises an error",
    ),
    next_step="run 'evmon handlers MODULE:BUS', which names provider and error",
)
LAG_OLD: Final = Signal(
    "EvmonConsumerLagOld",
    "age of the oldest unread event",
    "s",
    above=True,
    causes=("more is published than is handled", "no consumer of the group runs"),
    next_step="look at the duration of the handlers, or add processes",
)
PENDING_OLD: Final = Signal(
    "EvmonPendingOld",
    "age of the oldest event that was read and is not settled",
    "s",
    above=True,
    causes=("a handler hangs", "an event is retried again and again"),
    next_step="look at the log of the handlers; EVMON_CONSUMER_HANDLER_TIMEOUT ends them",
)
DEAD_LETTERS: Final = Signal(
    "EvmonDeadLettersGrowing",
    "recent dead letters",
    "",
    above=True,
    causes=(
        "a handler fails for good, or rejects its events",
        "no handler is registered for the type of an event (unknown_type)",
    ),
    next_step="run 'evmon dlq list', which names reason and error",
)
DEAD_LETTERS_OLD: Final = Signal(
    "EvmonDeadLetterQueueOld",
    "age of the oldest dead letter",
    "s",
    above=True,
    causes=("nobody looked at the dead letters",),
    next_step="run 'evmon dlq list', then replay or purge them",
)


def troubles(
    samples: Samples, not_ready: str | None, limits: Thresholds
) -> list[Recommendation]:
    """What is wrong, the worst first, and what to do about it.

    Args:
        samples: of the service.
        not_ready: what ``/readyz`` complains of, if it does.
        limits: for the ages of events.
    """
    found = []
    if not_ready:
        message = f"/readyz says: {not_ready}"
        finding = Finding(NOT_READY.alert, "critical", 0, 1, "", message)
        found.append(_advice(NOT_READY, finding))
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
            _held(samples),
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
            found.append(_advice(reading.signal, breach))
    return found


def _held(samples: Samples) -> float | None:
    """How much older the oldest pending event is than the oldest unread one."""
    pending = highest(samples, i.CONSUMER_PENDING_AGE)
    unread = highest(samples, i.CONSUMER_UNREAD_AGE)
    return None if pending is None else pending - (unread or 0)


def events(samples: Samples) -> dict[str, int | None]:
    """How many events wait, are being handled and were put aside; None if not known."""
    figures = {
        "unread": highest(samples, i.CONSUMER_LAG),
        "pending": highest(samples, i.CONSUMER_PENDING),
        "dead_letters": highest(samples, i.DEAD_LETTER_QUEUE_SIZE),
    }
    return {
        name: None if value is None else int(value) for name, value in figures.items()
    }


def events_line(figures: dict[str, int | None]) -> str:
    """The same for the summary; empty when nothing is known."""
    known = [
        f"{value} {name.replace('_', ' ')}"
        for name, value in figures.items()
        if value is not None
    ]
    return f"  Events: {', '.join(known)}" if known else ""


def _advice(signal: Signal, finding: Finding) -> Recommendation:
    return Recommendation(finding, signal.causes, signal.next_step, signal.alert)
