"""Panels of the dashboard *Events*: lag, pending events and consumers."""

from typing import Final

from evmon._alerting.dashboards.panels import (
    BUS_LEGEND,
    GROUP_LABELS,
    GROUP_LEGEND,
    OF_GROUP,
    PROCESS,
    RATE,
    TO_DESTINATION,
    Limit,
    Panel,
    Query,
    or_zero,
    per_destination,
    per_group,
    rate,
)
from evmon._alerting.promql import PER_BUS, by, series
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument

STALLED_SECONDS: Final = 1e10
"""Time to work off a lag at which nothing is consumed."""


def lag(limits: Thresholds) -> tuple[Panel, ...]:
    """Return the panels on unread, pending and scheduled events."""
    return (
        _lag(),
        _time_to_work_off_the_lag(limits),
        _oldest_unread_event(limits),
        _pending(),
        _oldest_pending_event(limits),
        _waiting_for_another_try(),
    )


def _lag() -> Panel:
    return Panel(
        title="Lag",
        description="Events that a group has not been given yet. A gap means that"
        " the server cannot tell it.",
        unit="short",
        queries=per_group(i.CONSUMER_LAG),
        no_value="unknown",
        alerts=("EvmonConsumerStalled",),
    )


def _time_to_work_off_the_lag(limits: Thresholds) -> Panel:
    lag = by(GROUP_LABELS, series(i.CONSUMER_LAG, OF_GROUP), "max")
    pace = rate(i.CONSUMED_MESSAGES, OF_GROUP, GROUP_LABELS)
    return Panel(
        title="Time to work off the lag",
        description="At the present pace; stalled if there is a lag and nothing is"
        " consumed. Above the line, and growing, EvmonConsumerLagGrowing warns.",
        unit="s",
        kind="stat",
        queries=(
            Query(
                f"{lag} / ({pace} > 0) or {STALLED_SECONDS:.0f} * ({lag} > bool 0)",
                GROUP_LEGEND,
            ),
        ),
        limits=(
            Limit(limits.drain_warning_seconds, "yellow"),
            Limit(STALLED_SECONDS, "red"),
        ),
        texts={STALLED_SECONDS: "stalled"},
        height=8,
        no_value="unknown",
        alerts=("EvmonConsumerLagGrowing",),
    )


def _oldest_unread_event(limits: Thresholds) -> Panel:
    return Panel(
        title="Oldest unread event",
        description="Above the yellow line EvmonConsumerLagOld warns.",
        unit="s",
        queries=per_group(i.CONSUMER_UNREAD_AGE),
        alerts=("EvmonConsumerLagOld",),
        limits=(
            Limit(limits.lag_age_warning_seconds, "yellow"),
            Limit(limits.lag_age_critical_seconds, "red"),
        ),
    )


def _pending() -> Panel:
    return Panel(
        title="Pending",
        description="Events given to a consumer and not settled.",
        unit="short",
        queries=per_group(i.CONSUMER_PENDING),
    )


def _oldest_pending_event(limits: Thresholds) -> Panel:
    return Panel(
        title="Oldest pending event",
        description="Above the yellow line EvmonPendingOld warns.",
        unit="s",
        queries=per_group(i.CONSUMER_PENDING_AGE),
        alerts=("EvmonPendingOld",),
        limits=(
            Limit(limits.pending_age_warning_seconds, "yellow"),
            Limit(limits.pending_age_critical_seconds, "red"),
        ),
    )


def _waiting_for_another_try() -> Panel:
    return Panel(
        title="Waiting for another try",
        description="Events in the retry schedule.",
        unit="short",
        queries=per_destination(i.RETRY_SCHEDULE_SIZE),
    )


def consumers() -> tuple[Panel, ...]:
    """Return the panels on the consumers of a group."""
    return (
        _consumed_by_process(),
        _delivered_again(),
        _connections_made_again(),
        _last_poll(),
        _ready(),
        _lag_known(),
    )


def _consumed_by_process() -> Panel:
    return Panel(
        title="Consumed by process",
        description="How the work is shared.",
        unit="cps",
        queries=(
            Query(
                rate(i.CONSUMED_MESSAGES, OF_GROUP, PER_BUS),
                BUS_LEGEND,
            ),
        ),
    )


def _delivered_again() -> Panel:
    def events(counter: Instrument, name: str) -> Query:
        return Query(or_zero(f"sum(rate({series(counter, OF_GROUP)}[{RATE}]))"), name)

    return Panel(
        title="Delivered again",
        description="Redeliveries, what was taken over from silent consumers, and"
        " leases lost to others.",
        unit="cps",
        queries=(
            events(i.REDELIVERIES, "redelivered"),
            events(i.RECLAIMS, "taken over"),
            events(i.LEASE_LOSSES, "lease lost"),
        ),
    )


def _connections_made_again() -> Panel:
    return Panel(
        title="Connections made again",
        description="Connections to the transport that broke.",
        unit="short",
        queries=(
            Query(
                or_zero(
                    f"sum(increase({series(i.RECONNECTS, TO_DESTINATION)}[{RATE}]))"
                ),
                "reconnects",
            ),
        ),
    )


def _last_poll() -> Panel:
    return Panel(
        title="Last poll",
        description="When each consumer last heard from the transport.",
        unit="dateTimeFromNow",
        kind="table",
        queries=(
            Query(
                "1000 * " + by(PER_BUS, series(i.LAST_POLL_TIME, OF_GROUP), "max"),
            ),
        ),
        minimum=None,
    )


def _ready() -> Panel:
    return Panel(
        title="Ready",
        description="What /readyz says.",
        unit="bool_yes_no",
        alerts=("EvmonNotReady",),
        queries=(
            Query(
                by(PER_BUS, series(i.CONSUMER_READY, PROCESS), "min"),
                BUS_LEGEND,
            ),
        ),
    )


def _lag_known() -> Panel:
    return Panel(
        title="Lag known",
        description="Whether the server can tell the lag.",
        unit="bool_yes_no",
        queries=per_group(i.CONSUMER_LAG_KNOWN),
        alerts=("EvmonLagUnknown",),
    )
