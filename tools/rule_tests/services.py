"""Test data of `evmon._alerting.rules.services`."""

from evmon._alerting.promql import UPTIME, series
from evmon._alerting.rules.services import (
    EVMON_PROCESS,
    FLAPPING_WINDOW_SECONDS,
    OVERFLOW,
    RESTARTS_WINDOW_SECONDS,
)
from evmon._telemetry import instruments as i
from tools.rule_tests.data import AlertData, DataByAlert, Input, SilentInputs


def service_data() -> DataByAlert:
    """Return the test data of the alerts on processes."""
    return {
        ("EvmonTargetDown", "critical"): _target_down(),
        ("EvmonTargetFlapping", "warning"): _target_flapping(),
        ("EvmonServiceAbsent", "warning"): _service_absent(),
        ("EvmonRestarting", "warning"): AlertData(
            inputs=lambda value: (Input(UPTIME, "restarts", value),),
            firing_value=3,
            silent_value=2,
            onset_seconds=120,
            lookback_seconds=RESTARTS_WINDOW_SECONDS,
        ),
        ("EvmonCardinalityOverflow", "warning"): _cardinality_overflow(),
        ("EvmonNotReady", "critical"): AlertData(
            inputs=lambda value: (Input(series(i.CONSUMER_READY), "gauge", value),),
            firing_value=0,
            silent_value=1,
        ),
    }


def evmon_process() -> Input:
    """Return the series that marks a process as one of evmon."""
    return Input(EVMON_PROCESS, "gauge", 3)


def _target_down() -> AlertData:
    def up(value: float) -> Input:
        return Input("up", "gauge", value)

    return AlertData(
        inputs=lambda value: (up(value), evmon_process()),
        silent=(SilentInputs("of another program", lambda value: (up(value),)),),
        firing_value=0,
        silent_value=1,
    )


def _target_flapping() -> AlertData:
    def up(percent: float) -> Input:
        return Input("up", "flapping", percent)

    return AlertData(
        inputs=lambda value: (up(value), evmon_process()),
        silent=(SilentInputs("of another program", lambda value: (up(value),)),),
        firing_value=50,
        silent_value=20,
        onset_seconds=300,
        lookback_seconds=FLAPPING_WINDOW_SECONDS,
    )


def _service_absent() -> AlertData:
    def inputs(absent: float) -> tuple[Input, ...]:
        return () if absent else (evmon_process(), Input("up", "gauge", 1))

    return AlertData(
        inputs=inputs,
        silent=(
            SilentInputs("while it pushes over OTLP", lambda _: (evmon_process(),)),
            SilentInputs(
                "while it is down",
                lambda _: (Input("up", "gauge", 0),),
                before=lambda _: inputs(0),
            ),
        ),
        firing_value=1,
        silent_value=0,
    )


def _cardinality_overflow() -> AlertData:
    overflowed = tuple(
        Input(f'{series(counter)}{{{OVERFLOW}="true"}}', "gauge", 5)
        for counter in (i.RETRY_ATTEMPTS, i.CONSUMED_MESSAGES)
    )
    return AlertData(
        inputs=lambda value: (*(overflowed if value else ()), evmon_process()),
        silent=(SilentInputs("of another program", lambda _: overflowed),),
        firing_value=len(overflowed),
        silent_value=0,
    )
