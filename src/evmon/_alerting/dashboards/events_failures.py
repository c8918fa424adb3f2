"""Panels of the dashboard *Events*: failures, dead letters and losses."""

from evmon._alerting.dashboards.panels import (
    OF_GROUP,
    PROCESS,
    RATE,
    Limit,
    Panel,
    Query,
    or_zero,
    per_destination,
    rate,
)
from evmon._alerting.promql import WITH_ERROR, by, series
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i

_HANDLER = ("evmon_handler_name",)


def failures(limits: Thresholds) -> tuple[Panel, ...]:
    """Return the panels on failed, dead-lettered and lost events."""
    return (
        _share_of_calls_that_fail(limits),
        _failures_by_error(),
        _dead_letters_by_reason(),
        _dead_letters_kept(),
        _oldest_dead_letter(limits),
        _lost(),
    )


def _share_of_calls_that_fail(limits: Thresholds) -> Panel:
    failed = rate(i.PROCESS_DURATION, f"{OF_GROUP},{WITH_ERROR}", _HANDLER, "_count")
    calls = rate(i.PROCESS_DURATION, OF_GROUP, _HANDLER, "_count")
    return Panel(
        title="Share of calls that fail",
        description="By handler. Above the yellow line EvmonHandlerErrorsHigh warns.",
        unit="percent",
        queries=(
            Query(
                f"100 * ({failed} or 0 * {calls}) / ({calls} > 0)",
                "{{evmon_handler_name}}",
            ),
        ),
        limits=(
            Limit(limits.handler_errors_warning_percent, "yellow"),
            Limit(limits.handler_errors_critical_percent, "red"),
        ),
        no_value="no calls",
        alerts=("EvmonHandlerErrorsHigh",),
    )


def _failures_by_error() -> Panel:
    kind = "error_type"
    failed = rate(i.PROCESS_DURATION, f"{OF_GROUP},{WITH_ERROR}", (kind,), "_count")
    return Panel(
        title="Failures by error",
        description="What handlers raised, by the error's class.",
        unit="cps",
        queries=(Query(or_zero(failed, kind), "{{error_type}}"),),
    )


def _dead_letters_by_reason() -> Panel:
    return Panel(
        title="Dead letters by reason",
        description="Events put aside in a second. `evmon dlq list` shows them.",
        unit="cps",
        queries=(
            Query(
                rate(i.DEAD_LETTERS, PROCESS, ("evmon_dead_letter_reason",)),
                "{{evmon_dead_letter_reason}}",
            ),
        ),
        alerts=("EvmonDeadLettersGrowing",),
    )


def _dead_letters_kept() -> Panel:
    return Panel(
        title="Dead letters kept",
        description="How many wait for somebody to look.",
        unit="short",
        queries=per_destination(i.DEAD_LETTER_QUEUE_SIZE),
        alerts=("EvmonDeadLetterQueueGrowing",),
    )


def _oldest_dead_letter(limits: Thresholds) -> Panel:
    return Panel(
        title="Oldest dead letter",
        description="Above the line EvmonDeadLetterQueueOld warns.",
        unit="s",
        queries=per_destination(i.DEAD_LETTER_QUEUE_AGE),
        limits=(Limit(limits.dead_letter_age_warning_seconds, "yellow"),),
        alerts=("EvmonDeadLetterQueueOld",),
    )


def _lost() -> Panel:
    return Panel(
        title="Lost",
        description="Events that are known to be lost, by reason; groups that had to"
        " be made again.",
        unit="short",
        queries=(
            Query(
                by(
                    ("evmon_loss_reason",),
                    f"increase({series(i.EVENTS_LOST, PROCESS)}[{RATE}])",
                ),
                "{{evmon_loss_reason}}",
            ),
            Query(
                or_zero(
                    f"sum(increase({series(i.GROUP_RECREATIONS, OF_GROUP)}[{RATE}]))"
                ),
                "groups made again",
            ),
            Query(
                or_zero(
                    f"sum(increase({series(i.PUBLISHER_ABANDONED, PROCESS)}[{RATE}]))"
                ),
                "abandoned by a publisher",
            ),
        ),
        alerts=("EvmonEventsLost", "EvmonGroupRecreated"),
    )
