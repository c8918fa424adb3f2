"""Alerts on retries and failing handlers."""

from evmon._alerting.promql import PER_SERVICE, by, duration, number, on, series
from evmon._alerting.rules import recording
from evmon._alerting.rules.alert import Alert, Severity
from evmon._alerting.rules.counting import count_hold_seconds, recorded_count_in_window
from evmon._alerting.rules.recording import windowed
from evmon._monitor.findings import HANDLER_ERRORS, RETRIES
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i


def handler_alerts(limits: Thresholds) -> tuple[Alert, ...]:
    """Return the alerts on retries and handler errors."""
    return (
        _retries_high(limits),
        _retries_exhausted(limits),
        _handler_errors_high(limits, "warning", limits.handler_errors_warning_percent),
        _handler_errors_high(
            limits, "critical", limits.handler_errors_critical_percent
        ),
    )


def _retries_high(limits: Thresholds) -> Alert:
    return Alert(
        name=RETRIES.alert,
        severity="warning",
        metric=i.RETRY_ATTEMPTS,
        expr=windowed(recording.RETRIES_INCREASE, limits),
        limit=limits.retries_warning,
        hold_seconds=count_hold_seconds(limits),
        summary="{{ $labels.instance }} of {{ $labels.job }} retries too often",
        description="Too many operations fail and are tried again.",
        value_name=f"Retries in the last {duration(limits.window_seconds)}",
        setting="retries_warning",
    )


def _retries_exhausted(limits: Thresholds) -> Alert:
    window = duration(limits.window_seconds)
    return Alert(
        name="EvmonRetriesExhausted",
        severity="warning",
        metric=i.RETRY_EXHAUSTED,
        expr=recorded_count_in_window(
            recording.EXHAUSTED, series(i.RETRY_EXHAUSTED), limits
        ),
        limit=0,
        hold_seconds=count_hold_seconds(limits),
        summary="{{ $labels.instance }} of {{ $labels.job }} gave up on operations",
        description="Operations failed for good: no retry was left, or none could help.",
        value_name=f"Operations given up in the last {window}",
    )


def _handler_errors_high(limits: Thresholds, severity: Severity, limit: float) -> Alert:
    return Alert(
        name=HANDLER_ERRORS.alert,
        severity=severity,
        metric=i.PROCESS_DURATION,
        expr=f"100 * {windowed(recording.ERROR_RATIO, limits)}",
        limit=limit,
        unit=HANDLER_ERRORS.unit,
        guard=_enough_calls(limits, limit),
        summary="Handlers in {{ $labels.instance }} fail too often",
        description="Too many calls of handlers fail.",
        value_name="Share of calls that failed",
        setting=f"handler_errors_{severity}_percent",
    )


def _enough_calls(limits: Thresholds, limit: float) -> str:
    """Require enough calls in the process, or in a service that also exceeds the limit.

    Without the second part, a service of many processes with few calls each would never
    raise the alert.
    """
    least = limits.handler_errors_min_calls
    calls = windowed(recording.CALLS_INCREASE, limits)
    service_ratio = windowed(recording.JOB_ERROR_RATIO, limits)
    return (
        f"(\n{calls} >= {least}\nor {calls} > 0 and {on(PER_SERVICE)} (\n"
        f"100 * {service_ratio} > {number(limit)}\n"
        f"and {by(PER_SERVICE, calls)} >= {least}\n)\n)"
    )
