"""Lists the dashboards and finds the one that shows a metric."""

from functools import cache

from evmon._alerting.dashboards.events_consumers import consumers, lag
from evmon._alerting.dashboards.events_failures import failures
from evmon._alerting.dashboards.events_flow import durations, throughput
from evmon._alerting.dashboards.overview import overview
from evmon._alerting.dashboards.panels import Board, Row
from evmon._alerting.promql import series
from evmon._settings.thresholds import Thresholds
from evmon._telemetry.instrument import Instrument


def boards(limits: Thresholds) -> tuple[Board, ...]:
    """Return the dashboards *Overview* and *Events*."""
    return (overview(limits), _events(limits))


@cache
def dashboard_uid(metric: Instrument | None) -> str:
    """Return the uid of the dashboard that shows a metric; *Overview* if none does."""
    every = boards(Thresholds())
    for board in every:
        if metric and board.shows(series(metric)):
            return board.uid
    return every[0].uid


def _events(limits: Thresholds) -> Board:
    return Board(
        "evmon-events",
        "evmon / Events",
        "How do events flow? Throughput, time, failures, lag, dead letters.",
        (
            Row("Throughput", throughput(limits)),
            Row("Time", durations()),
            Row("Failures", failures(limits)),
            Row("Lag and pending", lag(limits)),
            Row("Consumers", consumers()),
        ),
        has_groups=True,
    )
