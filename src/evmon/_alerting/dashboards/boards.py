"""The dashboards, without Grafana's SDK: which there are, and which one shows what."""

from functools import cache

from evmon._alerting.dashboards.events import events_board
from evmon._alerting.dashboards.overview import overview
from evmon._alerting.dashboards.panels import Board
from evmon._alerting.promql import series
from evmon._settings.thresholds import Thresholds
from evmon._telemetry.instruments import Instrument


def boards(limits: Thresholds) -> tuple[Board, ...]:
    """Every dashboard that evmon ships."""
    return (overview(limits), events_board(limits))


@cache
def board_about(metric: Instrument | None) -> str:
    """The uid of the dashboard with a panel about a metric; the first one, if none has."""
    every = boards(Thresholds())
    for board in every:
        if metric and board.shows(series(metric)):
            return board.uid
    return every[0].uid
