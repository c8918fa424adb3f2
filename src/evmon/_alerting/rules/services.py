"""Alerts on a process itself: scraped, present, ready, not restarting."""

from evmon._alerting.promql import (
    JOB,
    PER_BUS,
    PER_TARGET,
    UPTIME,
    by,
    duration,
    number,
    on,
    series,
)
from evmon._alerting.rules import recording
from evmon._alerting.rules.alert import Alert
from evmon._alerting.rules.scrapes import carried, last_value
from evmon._telemetry import instruments as i
from evmon._telemetry.naming import prometheus_label

EVMON_PROCESS = series(i.DISCOVERY_HANDLERS)
"""A series that every evmon process has, and no other program."""

RESTARTS_WINDOW_SECONDS = 30 * 60.0
FLAPPING_WINDOW_SECONDS = 900.0
_ALMOST_A_DAY = "23h"
"""Yesterday, an hour later than now: a service may stop a little earlier or later."""

OVERFLOW = prometheus_label("otel.metric.overflow")


def service_alerts() -> tuple[Alert, ...]:
    """Return the alerts on processes, whose limits are fixed."""
    return (
        _target_down(),
        _target_flapping(),
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
        # A process that crashes after each start is up for a moment between two pauses.
        keep_seconds=300,
        by=PER_TARGET,
        summary="{{ $labels.instance }} of {{ $labels.job }} cannot be scraped",
        description="Nothing is known about this process: its /metrics does not answer.",
    )


def _target_flapping() -> Alert:
    window = duration(FLAPPING_WINDOW_SECONDS)
    return Alert(
        name="EvmonTargetFlapping",
        severity="warning",
        metric=None,
        expr=f"100 * (1 - avg_over_time(up[{window}]))",
        limit=25,
        unit="%",
        # One outage, or two deploys, are not a flapping target.
        guard=f"changes(up[{window}]) > 5\nand on (job) {recording.SERVICE}",
        hold_seconds=120,
        by=PER_TARGET,
        summary="Scrapes of {{ $labels.instance }} of {{ $labels.job }} fail again and"
        " again",
        description=f"More than a quarter of the scrapes of the last {window} failed, so"
        " what is known about this process has gaps.",
    )


def _service_absent() -> Alert:
    seen = f"last_over_time({recording.SERVICE}[1h])"
    # What was gone yesterday at this time as well was scaled to zero, or is a daily job.
    yesterday = f"offset {_ALMOST_A_DAY}"
    daily = (
        f"last_over_time({recording.SERVICE}[1d] {yesterday})"
        f" unless {recording.SERVICE} {yesterday}"
    )
    return Alert(
        name="EvmonServiceAbsent",
        severity="warning",
        metric=i.DISCOVERY_HANDLERS,
        # Over OTLP there is no `up`; a target that is down has only `up`.
        expr=f"({seen} unless on (job) group by (job) (up or {EVMON_PROCESS})\n"
        f"unless on (job) ({daily}))",
        op="==",
        limit=1,
        hold_seconds=300,
        by=(JOB,),
        summary="No process of {{ $labels.job }} is known to Prometheus",
        description="A service that was seen in the last hour has no target any more."
        " The alert ends by itself after an hour.",
    )


def _restarting() -> Alert:
    window, part = duration(RESTARTS_WINDOW_SECONDS), "10m"
    # With one sample in each life, the uptime need not fall. A process that is seen all
    # the time and is always young restarts as well.
    young = f"max_over_time({UPTIME}[{window}]) < {number(RESTARTS_WINDOW_SECONDS / 6)}"
    seen = (
        f"last_over_time({UPTIME}[{part}] offset {age})"
        for age in ("10m", "20m", "30m")
    )
    always_young = " and ".join((young, *seen, f"last_over_time({UPTIME}[{part}])"))
    return Alert(
        name="EvmonRestarting",
        severity="warning",
        metric=i.UPTIME,
        expr=f"(resets({UPTIME}[{window}]) > 2\nor 3 + 0 * ({always_young}))",
        limit=2,
        hold_seconds=0,
        keep_seconds=900,
        summary="{{ $labels.instance }} of {{ $labels.job }} restarts again and again",
        description="The process does not stay up.",
        value_name=f"Restarts in the last {window}, at least",
    )


def _cardinality_overflow() -> Alert:
    overflowed = f'{{__name__=~"evmon_.+|messaging_.+",{OVERFLOW}!=""}}'
    return Alert(
        name="EvmonCardinalityOverflow",
        severity="warning",
        metric=None,
        expr=by(PER_BUS, carried(overflowed), "count"),
        limit=0,
        guard=f"{on(PER_TARGET)} {last_value(EVMON_PROCESS)}",
        summary="{{ $labels.instance }} has reached its limit of series",
        description="Sets of attributes beyond the limit are counted together.",
        value_name="Series that stand for many",
    )


def _not_ready() -> Alert:
    return Alert(
        name="EvmonNotReady",
        severity="critical",
        metric=i.CONSUMER_READY,
        expr=by(PER_BUS, carried(series(i.CONSUMER_READY)), "min"),
        op="==",
        limit=0,
        hold_seconds=120,
        summary="{{ $labels.instance }} of {{ $labels.job }} is not ready",
        description="/readyz says no: the process runs but handles nothing.",
    )
