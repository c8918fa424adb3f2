"""Defines an alert rule: an expression compared with a limit."""

from dataclasses import dataclass
from typing import Literal

from evmon._alerting.promql import PER_BUS, number
from evmon._telemetry.instrument import Instrument

Severity = Literal["warning", "critical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert rule.

    Attributes:
        name: name of the alert and of its runbook.
        severity: value of the label ``severity``.
        metric: instrument of the value; None if there is none.
        expr: PromQL of the value that is compared with the limit, in `unit`.
        op: comparison of value and limit that raises the alert.
        limit: limit of the value, in `unit`.
        guard: PromQL that must also return a sample; empty for none.
        unit: unit of value and limit in the description.
        hold_seconds: duration of ``for:`` in seconds; 0 for none.
        keep_seconds: duration of ``keep_firing_for:`` in seconds; 0 for none.
        by: labels of the alert.
        summary: one-line annotation; may contain Prometheus templates.
        description: sentence that states the problem.
        value_name: name of the value in the description; empty leaves value and limit
            out.
        setting: field of `Thresholds` with the limit; empty if the limit is fixed.
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
    keep_seconds: float = 0.0
    by: tuple[str, ...] = PER_BUS
    summary: str
    description: str
    value_name: str = ""
    setting: str = ""

    @property
    def condition(self) -> str:
        """PromQL of the whole rule: comparison and guard."""
        guard = f"\nand {self.guard}" if self.guard else ""
        return f"{self.expr} {self.op} {number(self.limit)}{guard}"
