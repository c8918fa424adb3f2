"""Alerts about the way of events: lag, pending events, dead letters, losses."""

from evmon._signals import recording as r
from evmon._signals.alert import Alert, Input, Severity
from evmon._signals.core_alerts import counted
from evmon._signals.promql import (
    DESTINATION,
    GROUP,
    PER_DESTINATION,
    PER_GROUP,
    PER_INSTANCE,
    by,
    duration,
    series,
)
from evmon._telemetry import instruments as i
from evmon._telemetry.instruments import Instrument
from evmon._telemetry.naming import prometheus_label
from evmon._thresholds import Thresholds

_REASON = prometheus_label(i.DEAD_LETTER_REASON)
_LOSS = prometheus_label(i.LOSS_REASON)
_TO = f'{DESTINATION}="shop"'
_OF = f'{_TO},{GROUP}="shop"'
_ON_GROUP = f"on (job, {DESTINATION}, {GROUP})"
_RISES_OVER = 300.0
"""Seconds over which a lag is compared with itself."""

_CATCHING_UP = 7200.0
"""Seconds that events waited unread, in a test."""

_RISES_NOW = 120.0
"""Seconds in which it must rise as well: a burst that is worked off is no trouble."""

_WHERE = f"{{{{ $labels.{DESTINATION} }}}}"
_WHO = f"group {{{{ $labels.{GROUP} }}}} of {_WHERE}"


def transport_alerts(limits: Thresholds) -> tuple[Alert, ...]:
    """The alerts about what is between publishers and handlers."""
    return (
        *_lag(limits),
        _stalled(limits),
        *_pending(limits),
        _lag_unknown(),
        *_dead_letters(limits),
        *_losses(limits),
        _buffer(limits),
    )


def _aged(
    name: str,
    row: Instrument,
    limit: float,
    setting: str,
    *,
    severity: Severity = "warning",
    labels: tuple[str, ...] = PER_GROUP,
    summary: str,
    detail: str,
) -> Alert:
    """An alert about the age of the oldest of something."""
    selector = _OF if labels == PER_GROUP else _TO
    return Alert(
        name=name,
        severity=severity,
        metric=row,
        expr=by(labels, series(row), "max"),
        limit=limit,
        unit="s",
        by=labels,
        summary=summary,
        detail=detail,
        inputs=lambda level: (Input(series(row, selector), "gauge", level),),
        setting=setting,
    )


def _lag(limits: Thresholds) -> tuple[Alert, ...]:
    old: tuple[tuple[Severity, float, str], ...] = (
        ("warning", limits.lag_age_warning_seconds, "lag_age_warning_seconds"),
        ("critical", limits.lag_age_critical_seconds, "lag_age_critical_seconds"),
    )

    def growing(level: float) -> tuple[Input, ...]:
        per_second = 10.0 * limits.lag_min_events / limits.drain_warning_seconds
        consumed = series(i.CONSUMED_MESSAGES, _OF)
        return (
            Input(series(i.CONSUMER_LAG, _OF), "rise", level * per_second),
            Input(consumed, "counter", per_second * limits.window_seconds, shared=True),
        )

    return (
        *(
            _aged(
                "EvmonConsumerLagOld",
                i.CONSUMER_UNREAD_AGE,
                limit,
                setting,
                severity=severity,
                summary=f"Events wait long for {_WHO}",
                detail="The oldest event that nobody has read is this old:",
            )
            for severity, limit, setting in old
        ),
        Alert(
            name="EvmonConsumerLagGrowing",
            severity="warning",
            metric=i.CONSUMER_LAG,
            expr=r.Names.of(limits).drain,
            limit=limits.drain_warning_seconds,
            unit="s",
            guard=(
                f"{r.LAG} >= {limits.lag_min_events}\n"
                f"and {r.LAG} > {r.LAG} offset {duration(_RISES_OVER)}\n"
                f"and deriv({r.LAG}[{duration(_RISES_NOW)}]) > 0"
            ),
            hold_seconds=120,
            by=PER_GROUP,
            summary=f"More comes in than {_WHO} handles",
            detail="At the present pace, the time to work off the lag is",
            inputs=growing,
            setting="drain_warning_seconds",
        ),
    )


def _stalled(limits: Thresholds) -> Alert:
    window = duration(limits.window_seconds)
    consumed = series(i.CONSUMED_MESSAGES)
    none_taken = by(PER_GROUP, f"increase({consumed}[{window}])")

    def inputs(lag: float, taken: float) -> tuple[Input, ...]:
        return (
            Input(series(i.CONSUMER_LAG, _OF), "gauge", lag),
            Input(series(i.CONSUMED_MESSAGES, _OF), "counter", taken),
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
        summary=f"The {_WHO} takes nothing, though events wait",
        detail="Events that wait:",
        inputs=lambda level: inputs(level, 0),
        quiet=lambda level: inputs(level, 5),
        beyond=50,
        within=0,
    )


def _pending(limits: Thresholds) -> tuple[Alert, ...]:
    levels: tuple[tuple[Severity, float, str], ...] = (
        ("warning", limits.pending_age_warning_seconds, "pending_age_warning_seconds"),
        (
            "critical",
            limits.pending_age_critical_seconds,
            "pending_age_critical_seconds",
        ),
    )
    pending = by(PER_GROUP, series(i.CONSUMER_PENDING_AGE), "max")
    unread = by(PER_GROUP, series(i.CONSUMER_UNREAD_AGE), "max")

    def inputs(level: float) -> tuple[Input, ...]:
        return (
            Input(series(i.CONSUMER_PENDING_AGE, _OF), "gauge", level + _CATCHING_UP),
            Input(series(i.CONSUMER_UNREAD_AGE, _OF), "gauge", _CATCHING_UP),
        )

    return tuple(
        Alert(
            name="EvmonPendingOld",
            severity=severity,
            metric=i.CONSUMER_PENDING_AGE,
            # What waited long before it was read is not held for long: only what is
            # much older than the next one to be read is.
            expr=f"{pending}\n- {unread}",
            limit=limit,
            unit="s",
            by=PER_GROUP,
            summary=f"An event is not finished by {_WHO}",
            detail="The oldest event that was read and is not settled is older than the"
            " oldest unread one by",
            inputs=inputs,
            setting=setting,
        )
        for severity, limit, setting in levels
    )


def _lag_unknown() -> Alert:
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
        summary=f"The lag of {_WHO} is not known",
        detail="The server cannot tell the lag: a lag alert could not be raised now",
        inputs=lambda level: (Input(series(row, _OF), "gauge", level),),
        beyond=0,
        within=1,
    )


def _dead_letters(limits: Thresholds) -> tuple[Alert, ...]:
    window = duration(limits.window_seconds)
    unknown = f'{_REASON}="unknown_type"'
    others = f'{_REASON}!="unknown_type"'
    failed = series(i.DEAD_LETTERS, f'{_REASON}="handler_error"')
    return (
        Alert(
            name="EvmonDeadLettersGrowing",
            severity="warning",
            metric=i.DEAD_LETTERS,
            expr=counted(i.DEAD_LETTERS, others, limits),
            limit=0,
            summary="{{ $labels.instance }} of {{ $labels.job }} puts events aside",
            detail=f"Dead letters of the last {window}:",
            inputs=lambda level: (Input(failed, "counter", level),),
            counts=True,
        ),
        Alert(
            name="EvmonUnknownEventTypes",
            severity="warning",
            metric=i.DEAD_LETTERS,
            expr=counted(i.DEAD_LETTERS, unknown, limits),
            limit=0,
            summary="{{ $labels.instance }} got events that nobody handles",
            detail=f"Events of types without a handler in the last {window}:",
            inputs=lambda level: (
                Input(series(i.DEAD_LETTERS, unknown), "counter", level),
            ),
            counts=True,
        ),
        _aged(
            "EvmonDeadLetterQueueOld",
            i.DEAD_LETTER_QUEUE_AGE,
            limits.dead_letter_age_warning_seconds,
            "dead_letter_age_warning_seconds",
            labels=PER_DESTINATION,
            summary=f"Nobody looks at the dead letters of {_WHERE}",
            detail="The oldest dead letter is this old:",
        ),
    )


def _losses(limits: Thresholds) -> tuple[Alert, ...]:
    window = duration(limits.window_seconds)
    lost = series(i.EVENTS_LOST, f'{_LOSS}="trimmed"')
    return (
        Alert(
            name="EvmonEventsLost",
            severity="critical",
            metric=i.EVENTS_LOST,
            expr=counted(i.EVENTS_LOST, "", limits),
            limit=0,
            hold_seconds=0,
            summary="{{ $labels.instance }} of {{ $labels.job }} saw events get lost",
            detail=f"Events lost in the last {window}:",
            inputs=lambda level: (Input(lost, "counter", level),),
            counts=True,
        ),
        Alert(
            name="EvmonGroupRecreated",
            severity="critical",
            metric=i.GROUP_RECREATIONS,
            expr=counted(i.GROUP_RECREATIONS, "", limits),
            limit=0,
            hold_seconds=0,
            summary="{{ $labels.instance }} had to make its consumer group again",
            detail=f"Groups that were gone in the last {window}:",
            inputs=lambda level: (
                Input(series(i.GROUP_RECREATIONS, _OF), "counter", level),
            ),
            counts=True,
        ),
    )


def _buffer(limits: Thresholds) -> Alert:
    size, room = series(i.PUBLISHER_BUFFER_SIZE), series(i.PUBLISHER_BUFFER_LIMIT)
    used = f"{by(PER_INSTANCE, size)}\n/ ({by(PER_INSTANCE, room)} > 0)"
    return Alert(
        name="EvmonPublisherBufferFull",
        severity="warning",
        metric=i.PUBLISHER_BUFFER_SIZE,
        expr=f"100 * {used}",
        limit=limits.buffer_warning_percent,
        unit="%",
        summary="{{ $labels.instance }} publishes faster than it can send",
        detail="The share of the publisher's buffer in use is",
        inputs=lambda level: (
            Input(size, "gauge", level),
            Input(room, "gauge", 100),
        ),
        beyond=(limits.buffer_warning_percent + 100) / 2,
        setting="buffer_warning_percent",
    )
