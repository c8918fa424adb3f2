"""What an alert is: an expression with a limit, and how to tell that it works."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from evmon._signals.promql import PER_INSTANCE, number
from evmon._telemetry.instruments import Instrument

Severity = Literal["warning", "critical"]
Shape = Literal["gauge", "counter", "rise", "restarts", "gone"]


@dataclass(frozen=True, slots=True)
class Input:
    """One series of a rule's unit test.

    Attributes:
        series: name and labels; ``job`` and ``instance`` are added.
        shape: a gauge holds its value, a counter grows by it in each window, a rise
            nears it in the last minutes, restarts are that many falls of an uptime
            in the last minutes, and what is gone was there only at first.
        value: of the shape.
        shared: whether it is the sum over all instances, of which each has its part.
    """

    series: str
    shape: Shape
    value: float
    shared: bool = False


def no_inputs(_: float) -> tuple[Input, ...]:
    """No series at all."""
    return ()


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
        detail: what the value is, for the description.
        inputs: the series that give the expression a value, for the unit tests.
        quiet: series with too little traffic for an alert; none where there is no guard.
        beyond: a value that raises the alert; derived from the limit by default.
        within: one that just does not.
        counts: whether the value is a whole number.
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
    detail: str
    inputs: Callable[[float], tuple[Input, ...]]
    quiet: Callable[[float], tuple[Input, ...]] = no_inputs
    beyond: float | None = None
    within: float | None = None
    counts: bool = False
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
            return self.limit + 2.5  # whatever is made of a fraction, it is above
        return self.limit * (0.9 if self.op == "<" else 1.2)

    @property
    def level_within(self) -> float:
        """A value that does not raise it, as near to the limit as can be."""
        if self.within is not None:
            return self.within
        return self.limit

    def is_raised_by(self, level: float) -> bool:
        """Whether a value raises the alert, if its guard lets it."""
        value = self.value_of(level)
        if self.op == "==":
            return value == self.limit
        return value > self.limit if self.op == ">" else value < self.limit

    def value_of(self, level: float) -> float:
        """What the expression makes of inputs of a level."""
        return float(math.floor(level)) if self.counts else level
