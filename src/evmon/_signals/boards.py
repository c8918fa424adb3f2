"""The dashboards, without Grafana's SDK: which there are, and which one shows what."""

from functools import cache

from evmon._signals.events_board import events_board
from evmon._signals.overview import overview
from evmon._signals.panels import Board
from evmon._signals.promql import series
from evmon._telemetry.instruments import Instrument
from evmon._thresholds import Thresholds


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
