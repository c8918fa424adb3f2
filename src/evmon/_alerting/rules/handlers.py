"""Alerts about what fails and is tried again."""

from evmon._alerting.promql import JOB, by, duration, number, series
from evmon._alerting.rules import recording as r
from evmon._alerting.rules.alert import Alert, Input, Quiet, Severity, flow
from evmon._alerting.rules.counting import brief, counted_in_all
from evmon._monitor.findings import HANDLER_ERRORS, RETRIES
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.instruments import Instrument
from evmon._telemetry.naming import prometheus_label

_COMPONENT = prometheus_label(i.RETRY_COMPONENT)
_ERROR = prometheus_label(i.ERROR_TYPE)
_HANDLER = prometheus_label(i.HANDLER)


def handler_alerts(limits: Thresholds) -> tuple[Alert, ...]:
    """The alerts about retries and errors."""
    return (
        _retries(limits),
        _exhausted(limits),
        _errors(limits, "warning", limits.handler_errors_warning_percent),
        _errors(limits, "critical", limits.handler_errors_critical_percent),
    )


def _by_component(row: Instrument, level: float) -> tuple[Input, ...]:
    labels = f'{_COMPONENT}="handler",{_ERROR}'
    return (
        Input(series(row, f'{labels}=""'), "gauge", 0),
        Input(series(row, f'{labels}="OSError"'), "burst", level),
    )


def _retries(limits: Thresholds) -> Alert:
    return Alert(
        name=RETRIES.alert,
        severity="warning",
        metric=i.RETRY_ATTEMPTS,
        expr=counted_in_all(r.RETRIES, limits),
        limit=limits.retries_warning,
        hold_seconds=brief(limits),
        summary="{{ $labels.instance }} of {{ $labels.job }} retries too often",
        tells="Too many operations fail and are tried again.",
        measure=f"Retries in the last {duration(limits.window_seconds)}",
        inputs=lambda level: _by_component(i.RETRY_ATTEMPTS, level),
        counts=True,
        early=True,
        late=True,
        setting="retries_warning",
    )


def _exhausted(limits: Thresholds) -> Alert:
    return Alert(
        name="EvmonRetriesExhausted",
        severity="warning",
        metric=i.RETRY_EXHAUSTED,
        expr=counted_in_all(r.EXHAUSTED, limits),
        limit=0,
        hold_seconds=brief(limits),
        summary="{{ $labels.instance }} of {{ $labels.job }} gave up on operations",
        tells="Operations failed for good: no retry was left, or none could help.",
        measure=f"Operations given up in the last {duration(limits.window_seconds)}",
        inputs=lambda level: _by_component(i.RETRY_EXHAUSTED, level),
        counts=True,
        early=True,
        late=True,
    )


def _errors(limits: Thresholds, severity: Severity, limit: float) -> Alert:
    least, names = limits.handler_errors_min_calls, r.Names.of(limits)
    calls = series(i.PROCESS_DURATION, suffix="_count")

    def inputs(percent: float, total: float, handler: str) -> tuple[Input, ...]:
        failed = total * percent / 100
        of = f'{_HANDLER}="{handler}"'
        return (
            Input(series(i.EVENTS_IN_FLIGHT), "gauge", 0),
            Input(f'{calls}{{{of},{_ERROR}=""}}', "counter", total - failed),
            Input(f'{calls}{{{of},{_ERROR}="OSError"}}', "counter", failed),
        )

    many = flow(least, limits)
    return Alert(
        name=HANDLER_ERRORS.alert,
        severity=severity,
        metric=i.PROCESS_DURATION,
        expr=f"100 * {names.error_ratio}",
        limit=limit,
        unit=HANDLER_ERRORS.unit,
        guard=_enough_calls(limits, limit),
        summary="Handlers in {{ $labels.instance }} fail too often",
        tells="Too many calls of handlers fail.",
        measure="Share of calls that failed",
        inputs=lambda level: inputs(level, many, "shop.charge"),
        quiet=(
            Quiet("with few calls", lambda level: inputs(level, least - 1, "charge")),
            Quiet("of another program", lambda level: inputs(level, many, "")),
        ),
        late=True,
        setting=f"handler_errors_{severity}_percent",
    )


def _enough_calls(limits: Thresholds, limit: float) -> str:
    """Enough calls of the process, or of the whole service if that fails, too.

    Many processes with few calls each are as bad as one with many.
    """
    least = limits.handler_errors_min_calls
    calls = f"increase({r.CALLS}[{duration(limits.window_seconds)}])"
    service_fails = f"100 * {r.Names.of(limits).job_error_ratio} > {number(limit)}"
    return (
        f"(\n{calls} >= {least}\nor {calls} > 0 and on (job) (\n"
        f"{service_fails}\nand {by((JOB,), calls)} >= {least}\n)\n)"
    )
