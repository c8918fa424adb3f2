"""Alerts on consumer groups: lag and pending events."""

from evmon._alerting.promql import (
    DESTINATION,
    GROUP,
    PER_GROUP,
    PER_SERVICE,
    SHARED_GROUP,
    by,
    duration,
    on,
    series,
)
from evmon._alerting.rules import recording
from evmon._alerting.rules.alert import Alert, Severity
from evmon._alerting.rules.recording import windowed
from evmon._alerting.rules.scrapes import CARRY_SECONDS, carried, shared_gauge
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i

DESTINATION_TEMPLATE = f"{{{{ $labels.{DESTINATION} }}}}"
_GROUP_TEMPLATE = f"group {{{{ $labels.{GROUP} }}}} of {DESTINATION_TEMPLATE}"


def transport_alerts(limits: Thresholds) -> tuple[Alert, ...]:
    """Return the alerts on each consumer group."""
    return (
        _lag_old("warning", limits.lag_age_warning_seconds),
        _lag_old("critical", limits.lag_age_critical_seconds),
        _lag_growing(limits),
        _consumer_stalled(limits),
        _pending_old("warning", limits.pending_age_warning_seconds, limits),
        _pending_old("critical", limits.pending_age_critical_seconds, limits),
        _lag_unknown(),
    )


def _lag_old(severity: Severity, limit: float) -> Alert:
    return Alert(
        name="EvmonConsumerLagOld",
        severity=severity,
        metric=i.CONSUMER_UNREAD_AGE,
        expr=shared_gauge(i.CONSUMER_UNREAD_AGE, PER_GROUP),
        limit=limit,
        unit="s",
        by=PER_GROUP,
        summary=f"Events wait too long for {_GROUP_TEMPLATE}",
        description="Events wait too long before anybody reads them.",
        value_name="Age of the oldest unread event",
        setting=f"lag_age_{severity}_seconds",
    )


def _lag_growing(limits: Thresholds) -> Alert:
    lag = recording.LAG
    return Alert(
        name="EvmonConsumerLagGrowing",
        severity="warning",
        metric=i.CONSUMER_LAG,
        expr=windowed(recording.DRAIN_SECONDS, limits),
        limit=limits.drain_warning_seconds,
        unit="s",
        guard=(
            f"{lag} >= {limits.lag_min_events}\n"
            f"and {lag} > {lag} offset {duration(CARRY_SECONDS)}"
        ),
        # A burst that is being worked off is above the earlier lag for a shorter time.
        hold_seconds=CARRY_SECONDS + 60,
        by=PER_GROUP,
        summary=f"More events arrive than {_GROUP_TEMPLATE} handles",
        description="The lag grows, and it would take long to work it off.",
        value_name="Time to work off the lag at the present pace",
        setting="drain_warning_seconds",
    )


def _consumer_stalled(limits: Thresholds) -> Alert:
    consumed = windowed(recording.CONSUMED_INCREASE, limits)
    busy = (
        f"{by(PER_SERVICE, carried(series(i.EVENTS_IN_FLIGHT)))} > 0\n"
        f"unless {by(PER_SERVICE, consumed)} > 0"
    )
    return Alert(
        name="EvmonConsumerStalled",
        severity="critical",
        metric=i.CONSUMER_LAG,
        expr=recording.LAG,
        limit=0,
        guard=(
            # Any service that shares the group may read its events, or be about to:
            # handlers that take long fill all slots, so that nothing more is read.
            f"{recording.LAG} unless {on(SHARED_GROUP)} {consumed} > 0\n"
            f"unless {on(SHARED_GROUP)} ({recording.LAG} and {on(PER_SERVICE)} ({busy}))"
        ),
        hold_seconds=120,
        by=PER_GROUP,
        summary=f"Events wait, but {_GROUP_TEMPLATE} reads none",
        description="The group has read nothing of late, although events wait for it.",
        value_name="Events waiting",
    )


def _pending_old(severity: Severity, limit: float, limits: Thresholds) -> Alert:
    pending = shared_gauge(i.CONSUMER_PENDING_AGE, PER_GROUP)
    unread = shared_gauge(i.CONSUMER_UNREAD_AGE, PER_GROUP)
    return Alert(
        name="EvmonPendingOld",
        severity=severity,
        metric=i.CONSUMER_PENDING_AGE,
        # Both ages count from publication. Their difference is about the time since the
        # event was read, however long it waited before that.
        expr=f"{pending}\n- {unread}",
        limit=limit,
        unit="s",
        # The last events of a backlog are old as well, while none is left unread.
        hold_seconds=limits.pending_age_warning_seconds,
        by=PER_GROUP,
        summary=f"An event is not finished by {_GROUP_TEMPLATE}",
        description="An event was read long ago and is still not settled.",
        value_name="Its age beyond that of the oldest unread event",
        setting=f"pending_age_{severity}_seconds",
    )


def _lag_unknown() -> Alert:
    return Alert(
        name="EvmonLagUnknown",
        severity="warning",
        metric=i.CONSUMER_LAG_KNOWN,
        # The lag is known if at least one consumer can ask the server.
        expr=shared_gauge(i.CONSUMER_LAG_KNOWN, PER_GROUP),
        op="==",
        limit=0,
        hold_seconds=600,
        by=PER_GROUP,
        summary=f"The lag of {_GROUP_TEMPLATE} is unknown",
        description="The server cannot tell the lag, so no alert about it can be raised.",
    )
