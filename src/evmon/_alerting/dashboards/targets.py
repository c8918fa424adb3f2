"""Panels on what Prometheus scrapes; without them a service that is down looks quiet."""

from typing import Final

from evmon._alerting.dashboards.panels import (
    PROCESS,
    REPORTING,
    TARGET,
    Limit,
    Panel,
    Query,
)
from evmon._alerting.promql import series
from evmon._telemetry import instruments as i

_EVER: Final = f"present_over_time({series(i.DISCOVERY_HANDLERS, PROCESS)}[1d])"
_TARGETS: Final = f"up{{{TARGET}}} and on (job) {_EVER}"
"""Targets of jobs that had an evmon process in the last day."""


def targets() -> tuple[Panel, ...]:
    """Return the panels on targets up and down, scrapes and processes."""
    return (_up(), _down(), _failed_scrapes(), _processes())


def _up() -> Panel:
    return Panel(
        title="Targets up",
        description="Processes whose last scrape succeeded.",
        unit="short",
        kind="stat",
        queries=(Query(f"sum({_TARGETS})"),),
        below=True,
        limits=(Limit(1, "red"),),
        width=6,
        no_value="no targets",
        alerts=("EvmonServiceAbsent",),
    )


def _down() -> Panel:
    return Panel(
        title="Targets down",
        description="Processes whose last scrape failed.",
        unit="short",
        kind="stat",
        queries=(Query(f"count(({_TARGETS}) == 0) or 0 * count({_TARGETS})"),),
        limits=(Limit(1, "red"),),
        width=6,
        no_value="no targets",
        alerts=("EvmonTargetDown",),
    )


def _failed_scrapes() -> Panel:
    share = f"100 * (1 - avg_over_time(up{{{TARGET}}}[15m]))"
    return Panel(
        title="Failed scrapes",
        description="Of the target with the most, in the last 15 minutes.",
        unit="percent",
        kind="stat",
        queries=(Query(f"max({share} and on (job) {_EVER})"),),
        limits=(Limit(25, "yellow"),),
        width=6,
        no_value="no targets",
        alerts=("EvmonTargetFlapping",),
    )


def _processes() -> Panel:
    return Panel(
        title="Processes",
        description="Processes that report now, by whatever way.",
        unit="short",
        kind="stat",
        queries=(Query(REPORTING),),
        below=True,
        limits=(Limit(1, "red"),),
        width=6,
        no_value="no process reports",
    )
