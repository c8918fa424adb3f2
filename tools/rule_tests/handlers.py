"""Test data of `evmon._alerting.rules.handlers`."""

from evmon._alerting.promql import series
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument
from evmon._telemetry.naming import prometheus_label
from tools.rule_tests.data import (
    AlertData,
    DataByAlert,
    Input,
    SilentInputs,
    enough_events,
)

_COMPONENT = prometheus_label(i.RETRY_COMPONENT)
_ERROR = prometheus_label(i.ERROR_TYPE)
_HANDLER = prometheus_label(i.HANDLER)


def handler_data(limits: Thresholds) -> DataByAlert:
    """Return the test data of the alerts on retries and handler errors."""
    return {
        ("EvmonRetriesHigh", "warning"): _retries(i.RETRY_ATTEMPTS),
        ("EvmonRetriesExhausted", "warning"): _retries(i.RETRY_EXHAUSTED),
        ("EvmonHandlerErrorsHigh", "warning"): _handler_errors(limits),
        ("EvmonHandlerErrorsHigh", "critical"): _handler_errors(limits),
    }


def _retries(counter: Instrument) -> AlertData:
    labels = f'{_COMPONENT}="handler",{_ERROR}'

    def inputs(count: float) -> tuple[Input, ...]:
        return (
            Input(series(counter, f'{labels}=""'), "gauge", 0),
            Input(series(counter, f'{labels}="OSError"'), "burst", count),
        )

    return AlertData(
        inputs=inputs,
        counts_events=True,
        counts_before_first_scrape=True,
        series_appear_on_failure=True,
    )


def _handler_errors(limits: Thresholds) -> AlertData:
    minimum = limits.handler_errors_min_calls
    enough = enough_events(minimum, limits)
    duration_count = series(i.PROCESS_DURATION, suffix="_count")

    def inputs(percent: float, calls: float, handler: str) -> tuple[Input, ...]:
        failed = calls * percent / 100
        labels = f'{_HANDLER}="{handler}",{_ERROR}'
        return (
            Input(series(i.EVENTS_IN_FLIGHT), "gauge", 0),
            Input(f'{duration_count}{{{labels}=""}}', "counter", calls - failed),
            Input(f'{duration_count}{{{labels}="OSError"}}', "counter", failed),
        )

    return AlertData(
        inputs=lambda value: inputs(value, enough, "shop.charge"),
        silent=(
            SilentInputs(
                "with few calls", lambda value: inputs(value, minimum - 1, "charge")
            ),
            SilentInputs("of another program", lambda value: inputs(value, enough, "")),
        ),
        counts_before_first_scrape=True,
        series_appear_on_failure=True,
    )
