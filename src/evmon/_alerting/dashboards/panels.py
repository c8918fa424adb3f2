"""What a panel shows, apart from how Grafana writes it down."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from evmon._alerting.promql import DESTINATION, GROUP, by, series
from evmon._telemetry.instruments import Instrument

Kind = Literal["stat", "timeseries", "heatmap", "table", "alertlist"]
Unit = Literal[
    "percent",
    "decbytes",
    "ms",
    "s",
    "short",
    "ops",
    "eps",
    "bool_yes_no",
    "dateTimeFromNow",
]

PROCESS: Final = 'job=~"$job",instance=~"$instance"'
"""Which processes a panel is about."""

TO: Final = f'{PROCESS},messaging_destination_name=~"$destination"'
OF_GROUP: Final = f'{TO},messaging_consumer_group_name=~"$group"'
OF: Final = (DESTINATION, GROUP)
GROUP_LEGEND: Final = f"{{{{{GROUP}}}}} of {{{{{DESTINATION}}}}}"
RATE: Final = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and the name of its series in the legend."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A line in a panel, and the colour beyond it."""

    value: float
    colour: Literal["yellow", "red"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        title: what is seen.
        description: what it means, and what to do when it looks bad.
        unit: in Grafana's words.
        queries: what is drawn.
        kind: of panel.
        limits: lines, from the mildest on.
        below: whether it is bad to be below a limit.
        width: of 24 columns.
        minimum: of the axis.
        no_value: what is shown when there is nothing to show.
    """

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    limits: tuple[Limit, ...] = ()
    below: bool = False
    width: int = 8
    minimum: float | None = 0
    no_value: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard.

    Attributes:
        uid: under which it is linked to.
        title: of it.
        description: what it is for.
        rows: from the top.
        has_groups: whether destination and group can be chosen.
    """

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    has_groups: bool = False

    def shows(self, metric: str) -> bool:
        """Whether one of its panels is about a metric, as Prometheus names it."""
        name = re.compile(rf"\b{metric}(_bucket|_sum|_count)?\b")
        queries = (
            q for row in self.rows for panel in row.panels for q in panel.queries
        )
        return any(name.search(query.expr) for query in queries)


def rate(
    row: Instrument, selector: str, labels: tuple[str, ...], suffix: str = ""
) -> str:
    """How often in a second, by labels."""
    return by(labels, f"rate({series(row, selector, suffix)}[{RATE}])")


def or_zero(expression: str, label: str = "") -> str:
    """The expression, and 0 where there is nothing or no number: no fault is no gap.

    Args:
        expression: of what is never negative.
        label: that the legend shows; it says "none" beside the 0.
    """
    zero = "vector(0)"
    if label:
        zero = f'label_replace({zero}, "{label}", "none", "", "")'
    return f"({expression}) >= 0 or on () {zero}"


def quantiles_or_zero(row: Instrument, selector: str) -> tuple[Query, ...]:
    """The same as `quantiles`, of what need not happen at all."""
    return tuple(
        Query(or_zero(query.expr), query.legend) for query in quantiles(row, selector)
    )


def quantiles(row: Instrument, selector: str) -> tuple[Query, ...]:
    """The median, and the 95th and 99th percentile, of a histogram."""
    buckets = by(("le",), f"rate({series(row, selector, '_bucket')}[{RATE}])")
    return tuple(
        Query(f"histogram_quantile({q}, {buckets})", f"p{q * 100:.0f}")
        for q in (0.5, 0.95, 0.99)
    )


def heat(row: Instrument, selector: str) -> tuple[Query, ...]:
    """The buckets of a histogram, as a heatmap takes them."""
    buckets = f"increase({series(row, selector, '_bucket')}[{RATE}])"
    return (Query(by(("le",), buckets), "{{le}}"),)


def worst(row: Instrument) -> tuple[Query, ...]:
    """A gauge that every consumer of a group tells alike."""
    return (Query(by(OF, series(row, OF_GROUP), "max"), GROUP_LEGEND),)


def at(row: Instrument) -> tuple[Query, ...]:
    """A gauge that everybody at a destination tells alike."""
    gauge = by((DESTINATION,), series(row, TO), "max")
    return (Query(or_zero(gauge, DESTINATION), f"{{{{{DESTINATION}}}}}"),)
