"""Alerts about a process as such: is it there, does it stay, is it ready."""

from evmon._alerting.promql import JOB, PER_INSTANCE, UPTIME, by, duration, series
from evmon._alerting.rules import recording as r
from evmon._alerting.rules.alert import Alert, Input, Quiet
from evmon._telemetry import instruments as i
from evmon._telemetry.naming import prometheus_label

SERVICE = series(i.DISCOVERY_HANDLERS)
"""What every service of evmon shows, and nobody else."""

ON = "on (job, instance)"
_SEEN = f"last_over_time({r.SERVICE}[1d])"
_OVERFLOW = prometheus_label("otel.metric.overflow")
_RESTARTS_OVER = 900.0


def service_alerts() -> tuple[Alert, ...]:
    """The alerts that have no limit of their own."""
    return (_down(), _absent(), _restarting(), _overflow(), _not_ready())


def service() -> Input:
    """What tells that a process is a service of evmon, in a unit test."""
    return Input(SERVICE, "gauge", 3)


def _down() -> Alert:
    return Alert(
        name="EvmonTargetDown",
        severity="critical",
        metric=None,
        expr="up",
        op="==",
        limit=0,
        guard=f"on (job) {r.SERVICE}",
        hold_seconds=120,
        summary="{{ $labels.instance }} of {{ $labels.job }} cannot be scraped",
        tells="Nothing is known about this process: its /metrics does not answer.",
        inputs=lambda level: (Input("up", "gauge", level), service()),
        quiet=(
            Quiet("of another program", lambda level: (Input("up", "gauge", level),)),
        ),
        beyond=0,
        within=1,
    )


def _absent() -> Alert:
    def inputs(absent: float) -> tuple[Input, ...]:
        return () if absent else (service(), Input("up", "gauge", 1))

    return Alert(
        name="EvmonServiceAbsent",
        severity="critical",
        metric=i.DISCOVERY_HANDLERS,
        # Over OTLP there is no `up`; a target that is down shows nothing else.
        expr=f"({_SEEN} unless on (job) group by (job) (up or {SERVICE}))",
        op="==",
        limit=1,
        hold_seconds=300,
        by=(JOB,),
        summary="No process of {{ $labels.job }} is known to Prometheus",
        tells="A service that was seen in the last day has no target any more."
        " The alert clears by itself after a day.",
        inputs=inputs,
        quiet=(
            Quiet("while it pushes over OTLP", lambda _: (service(),)),
            Quiet(
                "while it is down",
                lambda _: (Input("up", "gauge", 0),),
                lambda _: inputs(0),
            ),
        ),
        beyond=1,
        within=0,
    )


def _restarting() -> Alert:
    return Alert(
        name="EvmonRestarting",
        severity="warning",
        metric=i.UPTIME,
        expr=f"resets({UPTIME}[{duration(_RESTARTS_OVER)}])",
        limit=2,
        hold_seconds=0,
        summary="{{ $labels.instance }} of {{ $labels.job }} restarts again and again",
        tells="The process does not stay up.",
        measure=f"Restarts in the last {duration(_RESTARTS_OVER)}",
        inputs=lambda level: (Input(UPTIME, "restarts", level),),
        beyond=3,
        within=2,
        onset_seconds=120,
        looks_back_seconds=_RESTARTS_OVER,
    )


def _overflow() -> Alert:
    overflowed = f'{{__name__=~"evmon_.+|messaging_.+",{_OVERFLOW}!=""}}'
    some = tuple(
        Input(f'{series(row)}{{{_OVERFLOW}="true"}}', "gauge", 5)
        for row in (i.RETRY_ATTEMPTS, i.CONSUMED_MESSAGES)
    )
    return Alert(
        name="EvmonCardinalityOverflow",
        severity="warning",
        metric=None,
        expr=by(PER_INSTANCE, overflowed, "count"),
        limit=0,
        guard=f"{ON} {SERVICE}",
        summary="{{ $labels.instance }} has reached its limit of series",
        tells="Sets of attributes beyond the limit are counted together.",
        measure="Series that stand for many",
        inputs=lambda level: (*(some if level else ()), service()),
        quiet=(Quiet("of another program", lambda _: some),),
        beyond=len(some),
        within=0,
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
        tells="/readyz says no: the process runs but handles nothing.",
        inputs=lambda level: (Input(series(i.CONSUMER_READY), "gauge", level),),
        beyond=0,
        within=1,
    )
