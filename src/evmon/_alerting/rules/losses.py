"""Alerts on dead letters, lost events and a full publisher buffer."""

import dataclasses

from evmon._alerting.promql import (
    PER_BUS,
    PER_DESTINATION,
    PER_SERVICE,
    by,
    duration,
    on,
    series,
)
from evmon._alerting.rules import recording
from evmon._alerting.rules.alert import Alert
from evmon._alerting.rules.counting import (
    count_hold_seconds,
    count_in_window,
    exact_increase,
)
from evmon._alerting.rules.scrapes import carried, shared_gauge
from evmon._alerting.rules.transports import DESTINATION_TEMPLATE
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.naming import prometheus_label

_REASON = prometheus_label(i.DEAD_LETTER_REASON)
_BY_DESIGN = f'{_REASON}=~"unknown_type|rejected"'
_NOT_BY_DESIGN = f'{_REASON}!~"unknown_type|rejected"'


def loss_alerts(limits: Thresholds) -> tuple[Alert, ...]:
    """Return the alerts on events that are not handled."""
    return (
        _dead_letters_growing(limits),
        _unknown_event_types(limits),
        _dead_letter_queue_growing(limits),
        _dead_letter_queue_old(limits),
        _events_lost(limits),
        _group_recreated(limits),
        _publisher_buffer_full(limits),
    )


def _dead_letters_growing(limits: Thresholds) -> Alert:
    return Alert(
        name="EvmonDeadLettersGrowing",
        severity="warning",
        metric=i.DEAD_LETTERS,
        expr=count_in_window(i.DEAD_LETTERS, _NOT_BY_DESIGN, limits),
        limit=0,
        hold_seconds=count_hold_seconds(limits),
        summary="{{ $labels.instance }} of {{ $labels.job }} is dead-lettering events",
        description="Events that cannot be handled become dead letters.",
        value_name=f"Dead letters in the last {duration(limits.window_seconds)}",
    )


def _unknown_event_types(limits: Thresholds) -> Alert:
    return Alert(
        name="EvmonUnknownEventTypes",
        severity="warning",
        metric=i.DEAD_LETTERS,
        expr=count_in_window(i.DEAD_LETTERS, f'{_REASON}="unknown_type"', limits),
        limit=0,
        hold_seconds=count_hold_seconds(limits),
        summary="{{ $labels.instance }} received events that nobody handles",
        description="Events of a type without a handler become dead letters.",
        value_name=f"Such events in the last {duration(limits.window_seconds)}",
    )


def _dead_letter_queue_growing(limits: Thresholds) -> Alert:
    window = limits.window_seconds
    growth = exact_increase(recording.DEAD_LETTERS_KEPT, window)
    # The processes and the queue may have been scraped at different times.
    longer = dataclasses.replace(limits, window_seconds=2 * window)
    expected = count_in_window(i.DEAD_LETTERS, _BY_DESIGN, longer)
    return Alert(
        name="EvmonDeadLetterQueueGrowing",
        severity="warning",
        metric=i.DEAD_LETTER_QUEUE_SIZE,
        expr=f"({growth}\n- {on(PER_SERVICE)} group_left () {by(PER_SERVICE, expected)}"
        f"\nor {growth})",
        limit=0,
        hold_seconds=min(120.0, window / 2),
        by=PER_DESTINATION,
        summary=f"There are more and more dead letters of {DESTINATION_TEMPLATE}",
        description="Events become dead letters, in whichever process: also in one that"
        " is gone before it is scraped.",
        value_name=f"New dead letters in the last {duration(window)}",
    )


def _dead_letter_queue_old(limits: Thresholds) -> Alert:
    return Alert(
        name="EvmonDeadLetterQueueOld",
        severity="warning",
        metric=i.DEAD_LETTER_QUEUE_AGE,
        expr=shared_gauge(i.DEAD_LETTER_QUEUE_AGE, PER_DESTINATION),
        limit=limits.dead_letter_age_warning_seconds,
        unit="s",
        by=PER_DESTINATION,
        summary=f"Nobody has dealt with the dead letters of {DESTINATION_TEMPLATE}",
        description="Dead letters wait for somebody to replay or delete them.",
        value_name="Age of the oldest dead letter",
        setting="dead_letter_age_warning_seconds",
    )


def _events_lost(limits: Thresholds) -> Alert:
    return Alert(
        name="EvmonEventsLost",
        severity="critical",
        metric=i.EVENTS_LOST,
        expr=count_in_window(i.EVENTS_LOST, "", limits),
        limit=0,
        hold_seconds=0,
        summary="{{ $labels.instance }} of {{ $labels.job }} found that events are lost",
        description="Events were lost before they were handled.",
        value_name=f"Events lost in the last {duration(limits.window_seconds)}",
    )


def _group_recreated(limits: Thresholds) -> Alert:
    return Alert(
        name="EvmonGroupRecreated",
        severity="critical",
        metric=i.GROUP_RECREATIONS,
        expr=count_in_window(i.GROUP_RECREATIONS, "", limits),
        limit=0,
        hold_seconds=0,
        summary="{{ $labels.instance }} had to create its consumer group again",
        description="A consumer group was gone and was created again: events may come"
        " twice.",
        value_name=f"Groups created again in the last {duration(limits.window_seconds)}",
    )


def _publisher_buffer_full(limits: Thresholds) -> Alert:
    used, capacity = (
        by(PER_BUS, carried(series(gauge)))
        for gauge in (i.PUBLISHER_BUFFER_SIZE, i.PUBLISHER_BUFFER_LIMIT)
    )
    return Alert(
        name="EvmonPublisherBufferFull",
        severity="warning",
        metric=i.PUBLISHER_BUFFER_SIZE,
        expr=f"100 * {used}\n/ ({capacity} > 0)",
        limit=limits.buffer_warning_percent,
        unit="%",
        summary="{{ $labels.instance }} publishes faster than it can send",
        description="The publisher's buffer is nearly full; when it is, publishers must"
        " wait.",
        value_name="Share of the buffer in use",
        setting="buffer_warning_percent",
    )
