"""Alerts about what is between publishers and handlers: lag and pending events."""

from evmon._alerting.promql import (
    DESTINATION,
    GROUP,
    PER_GROUP,
    by,
    duration,
    series,
)
from evmon._alerting.rules import recording as r
from evmon._alerting.rules.alert import Alert, Input, Quiet, Severity, Shape
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i

TO = f'{DESTINATION}="shop"'
OF = f'{TO},{GROUP}="shop"'
WHERE = f"{{{{ $labels.{DESTINATION} }}}}"
_OTHER = f'{TO},{GROUP}="other"'
_ON_GROUP = f"on (job, {DESTINATION}, {GROUP})"
_WHO = f"group {{{{ $labels.{GROUP} }}}} of {WHERE}"
_RISES_OVER = 300.0
"""Seconds over which a lag is compared with itself."""

_RISES_NOW = 120.0
"""Seconds in which it must rise as well: a burst that is worked off is no trouble."""

_CATCHING_UP = 7200.0
"""Seconds that events waited unread, in a test."""


def transport_alerts(limits: Thresholds) -> tuple[Alert, ...]:
    """The alerts about each group of consumers."""
    return (
        _old("warning", limits.lag_age_warning_seconds),
        _old("critical", limits.lag_age_critical_seconds),
        _growing(limits),
        _stalled(limits),
        _pending("warning", limits.pending_age_warning_seconds, limits),
        _pending("critical", limits.pending_age_critical_seconds, limits),
        _unknown(),
    )


def _old(severity: Severity, limit: float) -> Alert:
    row = i.CONSUMER_UNREAD_AGE
    return Alert(
        name="EvmonConsumerLagOld",
        severity=severity,
        metric=row,
        expr=by(PER_GROUP, series(row), "max"),
        limit=limit,
        unit="s",
        by=PER_GROUP,
        summary=f"Events wait too long for {_WHO}",
        tells="Events wait too long before anybody reads them.",
        measure="Age of the oldest unread event",
        inputs=lambda level: (Input(series(row, OF), "gauge", level),),
        setting=f"lag_age_{severity}_seconds",
    )


def _growing(limits: Thresholds) -> Alert:
    least, slowest = limits.lag_min_events, limits.drain_warning_seconds

    def inputs(
        level: float, at_limit: float = 10.0 * least, shape: Shape = "creep"
    ) -> tuple[Input, ...]:
        per_second = at_limit / slowest
        consumed = per_second * limits.window_seconds
        return (
            Input(series(i.CONSUMER_LAG, OF), shape, level * per_second),
            Input(series(i.CONSUMED_MESSAGES, OF), "counter", consumed, shared=True),
        )

    def flat(level: float) -> tuple[Input, ...]:
        return inputs(level, shape="gauge")

    quiet = (
        # At 1.2 times the limit, as values beyond it are.
        Quiet("while the lag is small", lambda level: inputs(level, 0.8 * least)),
        Quiet("after it fell", inputs, lambda level: flat(2 * level)),
        Quiet("when it does not rise any more", flat, lambda level: flat(level / 2)),
    )
    return Alert(
        name="EvmonConsumerLagGrowing",
        severity="warning",
        metric=i.CONSUMER_LAG,
        expr=r.Names.of(limits).drain,
        limit=slowest,
        unit="s",
        guard=(
            f"{r.LAG} >= {least}\n"
            f"and {r.LAG} > {r.LAG} offset {duration(_RISES_OVER)}\n"
            f"and deriv({r.LAG}[{duration(_RISES_NOW)}]) > 0"
        ),
        hold_seconds=120,
        by=PER_GROUP,
        summary=f"More events arrive than {_WHO} handles",
        tells="The lag grows, and it would take long to work it off.",
        measure="Time to work off the lag at the present pace",
        inputs=inputs,
        quiet=quiet,
        steady=True,
        setting="drain_warning_seconds",
    )


def _stalled(limits: Thresholds) -> Alert:
    window = duration(limits.window_seconds)
    consumed = series(i.CONSUMED_MESSAGES)
    none_taken = by(PER_GROUP, f"increase({consumed}[{window}])")

    def inputs(lag: float, taken: float, group: str = OF) -> tuple[Input, ...]:
        return (
            Input(series(i.CONSUMER_LAG, group), "gauge", lag),
            Input(series(i.CONSUMED_MESSAGES, group), "counter", taken),
        )

    return Alert(
        name="EvmonConsumerStalled",
        severity="critical",
        metric=i.CONSUMER_LAG,
        expr=r.LAG,
        limit=0,
        guard=f"{_ON_GROUP} {none_taken} == 0",
        hold_seconds=120,
        by=PER_GROUP,
        summary=f"Events wait, but {_WHO} reads none",
        tells="The group has read nothing of late, although events wait for it.",
        measure="Events waiting",
        inputs=lambda level: inputs(level, 0),
        quiet=(
            Quiet("when little is read", lambda level: inputs(level, 1)),
            Quiet(
                "when only another group has nothing to read",
                lambda level: (*inputs(level, 60), *inputs(0, 0, _OTHER)),
            ),
        ),
        beyond=50,
        within=0,
    )


def _pending(severity: Severity, limit: float, limits: Thresholds) -> Alert:
    pending = by(PER_GROUP, series(i.CONSUMER_PENDING_AGE), "max")
    unread = by(PER_GROUP, series(i.CONSUMER_UNREAD_AGE), "max")

    def inputs(level: float) -> tuple[Input, ...]:
        return (
            Input(series(i.CONSUMER_PENDING_AGE, OF), "gauge", level + _CATCHING_UP),
            Input(series(i.CONSUMER_UNREAD_AGE, OF), "gauge", _CATCHING_UP),
        )

    return Alert(
        name="EvmonPendingOld",
        severity=severity,
        metric=i.CONSUMER_PENDING_AGE,
        # What waited long before it was read is not held for long: only what is much
        # older than the next one to be read is.
        expr=f"{pending}\n- {unread}",
        limit=limit,
        unit="s",
        # When the last of a backlog are read, none is unread: they are as old as before.
        hold_seconds=limits.pending_age_warning_seconds,
        by=PER_GROUP,
        summary=f"An event is not finished by {_WHO}",
        tells="An event was read long ago and is still not settled.",
        measure="Its age beyond that of the oldest unread event",
        inputs=inputs,
        setting=f"pending_age_{severity}_seconds",
    )


def _unknown() -> Alert:
    row = i.CONSUMER_LAG_KNOWN
    return Alert(
        name="EvmonLagUnknown",
        severity="warning",
        metric=row,
        # One process that cannot reach the server does not make it unknown.
        expr=by(PER_GROUP, series(row), "max"),
        op="==",
        limit=0,
        hold_seconds=600,
        by=PER_GROUP,
        summary=f"The lag of {_WHO} is unknown",
        tells="The server cannot tell the lag, so no alert about it can be raised.",
        inputs=lambda level: (Input(series(row, OF), "gauge", level),),
        beyond=0,
        within=1,
    )
