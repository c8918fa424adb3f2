"""Lists the dashboards and finds the panel of an alert."""

from functools import cache

from evmon._alerting.dashboards.events_consumers import consumers, lag
from evmon._alerting.dashboards.events_failures import failures
from evmon._alerting.dashboards.events_flow import durations, throughput
from evmon._alerting.dashboards.overview import overview
from evmon._alerting.dashboards.panels import Board, Row
from evmon._alerting.dashboards.targets import targets
from evmon._settings.thresholds import Thresholds


def boards(limits: Thresholds) -> tuple[Board, ...]:
    """Return the dashboards *Overview* and *Events*."""
    return (overview(limits), _events(limits))


@cache
def panel_path(alert: str) -> str:
    """Return the path of the panel of an alert, relative to ``/d/`` of Grafana.

    Raises:
        LookupError: no panel names the alert.

    Example:
        >>> panel_path("EvmonMemoryHigh")
        'evmon-overview?viewPanel=14'
    """
    for board in boards(Thresholds()):
        for _, _, panels in board.numbered_rows():
            for panel_id, panel in panels:
                if alert in panel.alerts:
                    return f"{board.uid}?viewPanel={panel_id}"
    raise LookupError(f"no panel names the alert {alert}")


def _events(limits: Thresholds) -> Board:
    return Board(
        "evmon-events",
        "evmon / Events",
        "How do events flow? Throughput, time, failures, lag, dead letters.",
        (
            Row("Targets", targets()),
            Row("Throughput", throughput(limits)),
            Row("Time", durations()),
            Row("Failures", failures(limits)),
            Row("Lag and pending", lag(limits)),
            Row("Consumers", consumers()),
        ),
        has_groups=True,
    )
