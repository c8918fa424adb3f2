"""What an alert is: an expression with a limit, and how to tell that it works."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from evmon._alerting.promql import PER_INSTANCE, number
from evmon._settings.thresholds import Thresholds
from evmon._telemetry.instruments import Instrument

Severity = Literal["warning", "critical"]
Shape = Literal["gauge", "creep", "counter", "burst", "uptime", "restarts"]
STEP: Final = 15
"""Seconds from one sample to the next in a unit test."""

NEAR: Final = 1e-6
"""How near to a limit a value is that just does not pass it: arithmetic is not exact."""


@dataclass(frozen=True, slots=True)
class Input:
    """One series of a rule's unit test.

    Attributes:
        series: name and labels; ``job`` and ``instance`` are added.
        shape: a gauge holds its value, a creep rises from it ever so little; a counter
            grows by it in each window, a burst by all of it at once; an uptime is one;
            restarts are that many falls of an uptime.
        value: of the shape.
        shared: whether it is the sum over all instances, of which each has its part.
    """

    series: str
    shape: Shape
    value: float
    shared: bool = False


def flow(least: float, limits: Thresholds) -> float:
    """Traffic in a window that passes the least from the first sample on."""
    return 2 * least * limits.window_seconds / STEP


Inputs = Callable[[float], tuple[Input, ...]]


@dataclass(frozen=True, slots=True)
class Quiet:
    """Series that look like trouble and are none.

    Attributes:
        what: they are.
        inputs: the series, for a value beyond the limit.
        before: what was there before; the same by default.
    """

    what: str
    inputs: Inputs
    before: Inputs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert rule.

    Attributes:
        name: the same as of the runbook, and of the monitor's warning if it has one.
        severity: how bad it is.
        metric: the instrument that it is about.
        expr: what is held against the limit, in `unit`.
        op: how they are compared for the alert to be raised.
        limit: where the limit is.
        guard: what must hold besides, in PromQL; empty for nothing.
        unit: of the value, for people.
        hold_seconds: for how long it must be so.
        by: the labels that the alert carries.
        summary: one line; templates of Prometheus are allowed.
        tells: what is wrong, in a sentence.
        measure: what the value is; empty where it says nothing.
        inputs: the series that give the expression a value, for the unit tests.
        quiet: series that must not raise it, whatever the value.
        beyond: a value that raises the alert; derived from the limit by default.
        within: one that just does not.
        counts: whether the value counts events, to the event.
        early: whether what came before the first scrape raises it too.
        late: whether a series that is not there before the first failure raises it.
        steady: whether its series flow in good times as well.
        onset_seconds: how long series in trouble take to give the value.
        looks_back_seconds: over what time the value is taken, if not over the window.
        setting: the field of `Thresholds` that holds the limit; empty where the limit is
            what the thing is: down, absent, at all.
    """

    name: str
    severity: Severity
    metric: Instrument | None
    expr: str
    op: Literal[">", "<", "=="] = ">"
    limit: float
    guard: str = ""
    unit: str = ""
    hold_seconds: float = 60.0
    by: tuple[str, ...] = PER_INSTANCE
    summary: str
    tells: str
    measure: str = ""
    inputs: Inputs
    quiet: tuple[Quiet, ...] = ()
    beyond: float | None = None
    within: float | None = None
    counts: bool = False
    early: bool = False
    late: bool = False
    steady: bool = False
    onset_seconds: float = 0.0
    looks_back_seconds: float = 0.0
    setting: str = ""

    @property
    def condition(self) -> str:
        """The whole expression of the rule."""
        guard = f"\nand {self.guard}" if self.guard else ""
        return f"{self.expr} {self.op} {number(self.limit)}{guard}"

    @property
    def level_beyond(self) -> float:
        """A value that raises the alert."""
        if self.beyond is not None:
            return self.beyond
        if self.counts:
            return self.limit + 1
        if self.op == "<":
            return self.limit * 0.9
        most = (self.limit + 100) / 2 if self.unit == "%" else math.inf
        return min(self.limit * 1.2, most)

    @property
    def level_within(self) -> float:
        """A value that does not raise it, as near to the limit as can be."""
        if self.within is not None:
            return self.within
        if self.counts:
            return self.limit
        return self.limit * (1 + NEAR if self.op == "<" else 1 - NEAR)

    def is_raised_by(self, level: float) -> bool:
        """Whether a value raises the alert, if its guard lets it."""
        if self.op == "==":
            return level == self.limit
        return level > self.limit if self.op == ">" else level < self.limit
