"""Alerts about events that go nowhere: dead letters, losses, a full buffer."""

from evmon._alerting.promql import PER_DESTINATION, PER_INSTANCE, by, duration, series
from evmon._alerting.rules.alert import Alert, Input, Quiet
from evmon._alerting.rules.counting import brief, counted
from evmon._alerting.rules.transports import OF, TO, WHERE
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.instruments import Instrument
from evmon._telemetry.naming import prometheus_label

_REASON = prometheus_label(i.DEAD_LETTER_REASON)
_UNKNOWN = f'{_REASON}="unknown_type"'
_TRIMMED = f'{prometheus_label(i.LOSS_REASON)}="trimmed"'
_FAILED = f'{_REASON}="handler_error"'


def loss_alerts(limits: Thresholds) -> tuple[Alert, ...]:
    """The alerts about what is not handled."""
    return (
        _dead_letters(limits),
        _unknown_types(limits),
        _dead_letters_old(limits),
        _lost(limits),
        _recreated(limits),
        _buffer(limits),
    )


def _burst(row: Instrument, selector: str, level: float) -> tuple[Input, ...]:
    return (Input(series(row, selector), "burst", level),)


def _only(row: Instrument, selector: str, what: str) -> Quiet:
    return Quiet(
        f"about {what}",
        lambda level: _burst(row, selector, level),
        lambda _: _burst(row, selector, 0),
    )


def _dead_letters(limits: Thresholds) -> Alert:
    row = i.DEAD_LETTERS
    return Alert(
        name="EvmonDeadLettersGrowing",
        severity="warning",
        metric=row,
        expr=counted(row, f'{_REASON}!="unknown_type"', limits),
        limit=0,
        hold_seconds=brief(limits),
        summary="{{ $labels.instance }} of {{ $labels.job }} is dead-lettering events",
        tells="Events that cannot be handled become dead letters.",
        measure=f"Dead letters in the last {duration(limits.window_seconds)}",
        inputs=lambda level: _burst(row, _FAILED, level),
        quiet=(_only(row, _UNKNOWN, "events of unknown types"),),
        counts=True,
        early=True,
    )


def _unknown_types(limits: Thresholds) -> Alert:
    row = i.DEAD_LETTERS
    return Alert(
        name="EvmonUnknownEventTypes",
        severity="warning",
        metric=row,
        expr=counted(row, _UNKNOWN, limits),
        limit=0,
        hold_seconds=brief(limits),
        summary="{{ $labels.instance }} received events that nobody handles",
        tells="Events of a type without a handler become dead letters.",
        measure=f"Such events in the last {duration(limits.window_seconds)}",
        inputs=lambda level: _burst(row, _UNKNOWN, level),
        quiet=(_only(row, _FAILED, "events that failed"),),
        counts=True,
        early=True,
    )


def _dead_letters_old(limits: Thresholds) -> Alert:
    row = i.DEAD_LETTER_QUEUE_AGE
    return Alert(
        name="EvmonDeadLetterQueueOld",
        severity="warning",
        metric=row,
        expr=by(PER_DESTINATION, series(row), "max"),
        limit=limits.dead_letter_age_warning_seconds,
        unit="s",
        by=PER_DESTINATION,
        summary=f"Nobody has dealt with the dead letters of {WHERE}",
        tells="Dead letters wait for somebody to replay or delete them.",
        measure="Age of the oldest dead letter",
        inputs=lambda level: (Input(series(row, TO), "gauge", level),),
        setting="dead_letter_age_warning_seconds",
    )


def _lost(limits: Thresholds) -> Alert:
    return Alert(
        name="EvmonEventsLost",
        severity="critical",
        metric=i.EVENTS_LOST,
        expr=counted(i.EVENTS_LOST, "", limits),
        limit=0,
        hold_seconds=0,
        summary="{{ $labels.instance }} of {{ $labels.job }} found that events are lost",
        tells="Events were lost before they were handled.",
        measure=f"Events lost in the last {duration(limits.window_seconds)}",
        inputs=lambda level: _burst(i.EVENTS_LOST, _TRIMMED, level),
        counts=True,
        early=True,
    )


def _recreated(limits: Thresholds) -> Alert:
    return Alert(
        name="EvmonGroupRecreated",
        severity="critical",
        metric=i.GROUP_RECREATIONS,
        expr=counted(i.GROUP_RECREATIONS, "", limits),
        limit=0,
        hold_seconds=0,
        summary="{{ $labels.instance }} had to create its consumer group again",
        tells="A consumer group was gone and was created again: events may come twice.",
        measure=f"Groups created again in the last {duration(limits.window_seconds)}",
        inputs=lambda level: _burst(i.GROUP_RECREATIONS, OF, level),
        counts=True,
        early=True,
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
        tells="The publisher's buffer is nearly full; when it is, publishers must wait.",
        measure="Share of the buffer in use",
        inputs=lambda level: (
            Input(size, "gauge", level),
            Input(room, "gauge", 100),
        ),
        setting="buffer_warning_percent",
    )
