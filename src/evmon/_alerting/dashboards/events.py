"""The dashboard *Events*: how events flow, wait, fail and are dead-lettered."""

from evmon._alerting.dashboards.events_consumers import consumers, lag
from evmon._alerting.dashboards.events_failures import failures
from evmon._alerting.dashboards.events_flow import throughput, time
from evmon._alerting.dashboards.panels import Board, Row
from evmon._settings.thresholds import Thresholds


def events_board(limits: Thresholds) -> Board:
    """The dashboard, with the lines where the limits are."""
    return Board(
        "evmon-events",
        "evmon / Events",
        "How do events flow? Throughput, time, failures, lag, dead letters.",
        (
            Row("Throughput", throughput(limits)),
            Row("Time", time()),
            Row("Failures", failures(limits)),
            Row("Lag and pending", lag(limits)),
            Row("Consumers", consumers()),
        ),
        has_groups=True,
    )
