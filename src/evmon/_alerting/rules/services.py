"""Alerts on a process itself: scraped, present, ready, not restarting."""

from evmon._alerting.promql import (
    JOB,
    ON_INSTANCE,
    PER_INSTANCE,
    UPTIME,
    by,
    duration,
    series,
)
from evmon._alerting.rules import recording
from evmon._alerting.rules.alert import Alert
from evmon._telemetry import instruments as i
from evmon._telemetry.naming import prometheus_label

EVMON_PROCESS = series(i.DISCOVERY_HANDLERS)
"""A series that every evmon process has, and no other program."""

RESTARTS_WINDOW_SECONDS = 900.0
OVERFLOW = prometheus_label("otel.metric.overflow")


def service_alerts() -> tuple[Alert, ...]:
    """Return the alerts on processes, whose limits are fixed."""
    return (
        _target_down(),
        _service_absent(),
        _restarting(),
        _cardinality_overflow(),
        _not_ready(),
    )


def _target_down() -> Alert:
    return Alert(
        name="EvmonTargetDown",
        severity="critical",
        metric=None,
        expr="up",
        op="==",
        limit=0,
        guard=f"on (job) {recording.SERVICE}",
        hold_seconds=120,
        summary="{{ $labels.instance }} of {{ $labels.job }} cannot be scraped",
        description="Nothing is known about this process: its /metrics does not answer.",
    )


def _service_absent() -> Alert:
    seen = f"last_over_time({recording.SERVICE}[1d])"
    return Alert(
        name="EvmonServiceAbsent",
        severity="critical",
        metric=i.DISCOVERY_HANDLERS,
        # Over OTLP there is no `up`; a target that is down has only `up`.
        expr=f"({seen} unless on (job) group by (job) (up or {EVMON_PROCESS}))",
        op="==",
        limit=1,
        hold_seconds=300,
        by=(JOB,),
        summary="No process of {{ $labels.job }} is known to Prometheus",
        description="A service that was seen in the last day has no target any more."
        " The alert clears by itself after a day.",
    )


def _restarting() -> Alert:
    window = duration(RESTARTS_WINDOW_SECONDS)
    return Alert(
        name="EvmonRestarting",
        severity="warning",
        metric=i.UPTIME,
        expr=f"resets({UPTIME}[{window}])",
        limit=2,
        hold_seconds=0,
        summary="{{ $labels.instance }} of {{ $labels.job }} restarts again and again",
        description="The process does not stay up.",
        value_name=f"Restarts in the last {window}",
    )


def _cardinality_overflow() -> Alert:
    overflowed = f'{{__name__=~"evmon_.+|messaging_.+",{OVERFLOW}!=""}}'
    return Alert(
        name="EvmonCardinalityOverflow",
        severity="warning",
        metric=None,
        expr=by(PER_INSTANCE, overflowed, "count"),
        limit=0,
        guard=f"{ON_INSTANCE} {EVMON_PROCESS}",
        summary="{{ $labels.instance }} has reached its limit of series",
        description="Sets of attributes beyond the limit are counted together.",
        value_name="Series that stand for many",
    )


def _not_ready() -> Alert:
    return Alert(
        name="EvmonNotReady",
        severity="critical",
        metric=i.CONSUMER_READY,
        expr=by(PER_INSTANCE, series(i.CONSUMER_READY), "min"),
        op="==",
        limit=0,
        hold_seconds=120,
        summary="{{ $labels.instance }} of {{ $labels.job }} is not ready",
        description="/readyz says no: the process runs but handles nothing.",
    )
