"""Describes dashboards and panels without Grafana's SDK, and builds their queries."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from evmon._alerting.promql import BUS, DESTINATION, GROUP, JOB, PER_TARGET, by, series
from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument

Kind = Literal["stat", "timeseries", "heatmap", "table", "alertlist"]
Unit = Literal[
    "percent",
    "decbytes",
    "ms",
    "s",
    "short",
    "ops",
    "cps",
    "bool_yes_no",
    "dateTimeFromNow",
]

PLACE_LABELS: Final = ("cluster", "namespace")
"""Labels that many Prometheus servers add; a series without them has them empty."""

PLACE: Final = ",".join(f'{label}=~"${label}"' for label in PLACE_LABELS)
TARGET: Final = f'{PLACE},job=~"$job",instance=~"$instance"'
"""Selects the processes chosen by the dashboard's variables."""

PROCESS: Final = f'{TARGET},{BUS}=~"$bus"'
"""Selects the buses in these processes; the series of a process itself have no bus."""

TO_DESTINATION: Final = f'{PROCESS},messaging_destination_name=~"$destination"'
OF_GROUP: Final = f'{TO_DESTINATION},messaging_consumer_group_name=~"$group"'
GROUP_LABELS: Final = (JOB, DESTINATION, GROUP)
_PROCESSES: Final = series(i.DISCOVERY_HANDLERS, PROCESS)
REPORTING: Final = f"count({by(PER_TARGET, _PROCESSES, 'group')})"
"""Number of processes that Prometheus scraped just now; no sample if there is none."""
PROCESS_LEGEND: Final = "{{job}} {{instance}}"
BUS_LEGEND: Final = f"{PROCESS_LEGEND} {{{{{BUS}}}}}"
GROUP_LEGEND: Final = f"{{{{job}}}}: {{{{{GROUP}}}}} of {{{{{DESTINATION}}}}}"
DESTINATION_LEGEND: Final = f"{{{{job}}}}: {{{{{DESTINATION}}}}}"
RATE: Final = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL query and the legend of its series."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A threshold line of a panel and the colour of values beyond it."""

    value: float
    colour: Literal["yellow", "red"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel of a dashboard.

    Attributes:
        title: title of the panel.
        description: meaning of the panel, and the alert on its value if there is one.
        unit: Grafana's name of the unit.
        queries: queries of the panel.
        kind: Grafana's type of the panel.
        limits: threshold lines, from warning to critical.
        below: whether values below a limit are bad, instead of values above it.
        width: width in columns; a row has 24.
        height: height in Grafana's units; 0 for the default of the kind.
        minimum: lower end of the axis; None lets Grafana choose.
        no_value: text that is shown without data; empty for Grafana's own.
        alerts: names of the alerts that link to the panel.
        texts: texts shown for values from a number on, such as "stalled".
    """

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    limits: tuple[Limit, ...] = ()
    below: bool = False
    width: int = 8
    height: int = 0
    minimum: float | None = 0
    no_value: str = ""
    alerts: tuple[str, ...] = ()
    texts: Mapping[float, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of panels with a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard.

    Attributes:
        uid: uid in Grafana, part of the dashboard's URL.
        title: title of the dashboard.
        description: purpose of the dashboard.
        rows: rows from top to bottom.
        has_groups: whether destination and consumer group are variables.
    """

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    has_groups: bool = False

    def numbered_rows(self) -> Iterator[tuple[int, Row, tuple[tuple[int, Panel], ...]]]:
        """Return each row with its id, and its panels with theirs."""
        ids = itertools.count(1)
        for row in self.rows:
            row_id = next(ids)
            yield row_id, row, tuple((next(ids), panel) for panel in row.panels)


def rate(
    instrument: Instrument, selector: str, labels: tuple[str, ...], suffix: str = ""
) -> str:
    """Return the rate of a counter per second, summed by labels."""
    return by(labels, f"rate({series(instrument, selector, suffix)}[{RATE}])")


def or_zero(expression: str, label: str = "", per: tuple[str, ...] = ()) -> str:
    """Return the expression, or 0 where processes report and it has no sample or is NaN.

    Without a process there is no sample: a service that is down must not look healthy.

    Args:
        expression: PromQL that is never negative.
        label: label of the legend, which becomes "none" beside the 0; empty for none.
        per: labels for each of whose values a 0 is shown.
    """
    zero = f"0 * {by(per, _PROCESSES, 'count')}"
    if label:
        zero = f'label_replace({zero}, "{label}", "none", "", "")'
    return f"({expression}) >= 0 or on ({', '.join(per)}) {zero}"


def quantiles(instrument: Instrument, selector: str) -> tuple[Query, ...]:
    """Return queries for the 50th, 95th and 99th percentile of a histogram."""
    buckets = by(("le",), f"rate({series(instrument, selector, '_bucket')}[{RATE}])")
    return tuple(
        Query(f"histogram_quantile({q}, {buckets})", f"p{q * 100:.0f}")
        for q in (0.5, 0.95, 0.99)
    )


def heatmap(instrument: Instrument, selector: str) -> tuple[Query, ...]:
    """Return the query of a heatmap: the increase of each bucket of a histogram."""
    buckets = f"increase({series(instrument, selector, '_bucket')}[{RATE}])"
    return (Query(by(("le",), buckets), "{{le}}"),)


def per_group(instrument: Instrument) -> tuple[Query, ...]:
    """Return the query of a gauge that all consumers of a group report alike."""
    gauge = by(GROUP_LABELS, series(instrument, OF_GROUP), "max")
    return (Query(gauge, GROUP_LEGEND),)


def per_destination(instrument: Instrument) -> tuple[Query, ...]:
    """Return the query of a gauge that all processes at a destination report alike."""
    gauge = by((JOB, DESTINATION), series(instrument, TO_DESTINATION), "max")
    return (Query(or_zero(gauge, DESTINATION, (JOB,)), DESTINATION_LEGEND),)
