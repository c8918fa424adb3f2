"""Test data of `evmon._alerting.rules.losses`."""

from evmon._alerting.promql import series
from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument
from evmon._telemetry.naming import prometheus_label
from tools.rule_tests.data import AlertData, DataByAlert, Input, SilentInputs
from tools.rule_tests.transports import SHOP_DESTINATION, SHOP_GROUP

_REASON = prometheus_label(i.DEAD_LETTER_REASON)
_UNKNOWN_TYPE = f'{_REASON}="unknown_type"'
_REJECTED = f'{_REASON}="rejected"'
_HANDLER_ERROR = f'{_REASON}="handler_error"'
_TRIMMED = f'{prometheus_label(i.LOSS_REASON)}="trimmed"'


def loss_data() -> DataByAlert:
    """Return the test data of the alerts on dead letters, losses and the buffer."""
    return {
        ("EvmonDeadLettersGrowing", "warning"): _count(
            i.DEAD_LETTERS,
            _HANDLER_ERROR,
            _no_alert_on("events of unknown types", _UNKNOWN_TYPE),
            _no_alert_on("events that a handler rejected", _REJECTED),
        ),
        ("EvmonUnknownEventTypes", "warning"): _count(
            i.DEAD_LETTERS,
            _UNKNOWN_TYPE,
            _no_alert_on("events that failed", _HANDLER_ERROR),
        ),
        ("EvmonDeadLetterQueueGrowing", "warning"): _dead_letter_queue_growing(),
        ("EvmonDeadLetterQueueOld", "warning"): _dead_letter_queue_old(),
        ("EvmonEventsLost", "critical"): _count(i.EVENTS_LOST, _TRIMMED),
        ("EvmonGroupRecreated", "critical"): _count(i.GROUP_RECREATIONS, SHOP_GROUP),
        ("EvmonPublisherBufferFull", "warning"): _publisher_buffer_full(),
    }


def _burst(counter: Instrument, selector: str, count: float) -> tuple[Input, ...]:
    return (Input(series(counter, selector), "burst", count),)


def _count(counter: Instrument, selector: str, *silent: SilentInputs) -> AlertData:
    return AlertData(
        inputs=lambda value: _burst(counter, selector, value),
        silent=silent,
        counts_events=True,
        counts_before_first_scrape=True,
    )


def _no_alert_on(events: str, selector: str) -> SilentInputs:
    return SilentInputs(
        f"about {events}",
        lambda value: _burst(i.DEAD_LETTERS, selector, value),
        before=lambda _: _burst(i.DEAD_LETTERS, selector, 0),
    )


def _dead_letter_queue_growing() -> AlertData:
    size = series(i.DEAD_LETTER_QUEUE_SIZE, SHOP_DESTINATION)

    def inputs(count: float, reason: str = "") -> tuple[Input, ...]:
        counted = _burst(i.DEAD_LETTERS, reason, count) if reason else ()
        return (Input(size, "burst", count), *counted)

    def rejected(count: float) -> tuple[Input, ...]:
        return inputs(count, _REJECTED)

    return AlertData(
        inputs=inputs,
        silent=(
            SilentInputs(
                "about events that a handler rejected",
                rejected,
                before=lambda _: rejected(0),
            ),
        ),
        counts_events=True,
    )


def _dead_letter_queue_old() -> AlertData:
    age = series(i.DEAD_LETTER_QUEUE_AGE, SHOP_DESTINATION)
    return AlertData(inputs=lambda value: (Input(age, "gauge", value),))


def _publisher_buffer_full() -> AlertData:
    size, limit = series(i.PUBLISHER_BUFFER_SIZE), series(i.PUBLISHER_BUFFER_LIMIT)
    return AlertData(
        inputs=lambda percent: (
            Input(size, "gauge", percent),
            Input(limit, "gauge", 100),
        )
    )
