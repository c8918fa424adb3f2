"""Figures: contenders that alternate, ratios within a round, medians and spreads."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any, Literal

Verdict = Literal["reach", "bar", "missed", "-"]

OFF: Mapping[str, str] = {"OTEL_SDK_DISABLED": "true"}
"""The environment that turns telemetry off."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how often to measure."""

    rounds: int = 5
    quick: bool = False

    def count(self, full: int) -> int:
        """A number of events: a fifth of it when it has to be quick."""
        return full // 5 if self.quick else full


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the report.

    Attributes:
        theme: the module that measured it.
        name: what it is.
        value: the median.
        spread: half of the distance between the quartiles; 0 for a single look.
        bar: the worst value that passes; None for what is only told.
        reach: the value that is aimed at.
        at_least: whether more is better.
        unit: empty for a ratio.
        medians: of each contender, in its own unit.
    """

    theme: str
    name: str
    value: float
    spread: float = 0.0
    bar: float | None = None
    reach: float | None = None
    at_least: bool = True
    unit: str = ""
    medians: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """Whether the reach or the bar is met."""
        if self.bar is None:
            return "-"
        if self.reach is not None and self._meets(self.reach):
            return "reach"
        return "bar" if self._meets(self.bar) else "missed"

    def as_json(self) -> dict[str, Any]:
        """The figure with its verdict."""
        return {**asdict(self), "medians": dict(self.medians), "verdict": self.verdict}

    def _meets(self, limit: float) -> bool:
        return self.value >= limit if self.at_least else self.value <= limit


@dataclass(frozen=True, slots=True)
class Results:
    """What each contender reached in each round."""

    values: Mapping[str, Sequence[float]]

    def medians(self, *names: str) -> dict[str, float]:
        """The medians of some contenders."""
        return {name: median(self.values[name]) for name in names}

    def ratio(self, theme: str, ours: str, theirs: str, **bars: Any) -> Figure:
        """Ours by theirs, round by round: what disturbs a round disturbs both."""
        pairs = zip(self.values[ours], self.values[theirs], strict=True)
        ratios = [a / b for a, b in pairs]
        return Figure(
            theme,
            bars.pop("name", f"{ours} / {theirs}"),
            median(ratios),
            _spread(ratios),
            medians=self.medians(ours, theirs),
            **bars,
        )


def alternate(
    contenders: Mapping[str, Callable[[], float]], settings: Settings
) -> Results:
    """Let contenders measure themselves in turn; every other round backwards."""
    values: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for _ in range(settings.rounds):
        for name in order:
            values[name].append(contenders[name]())
        order.reverse()
    return Results(values)


def job(target: str, environ: Mapping[str, str] | None = None, **arguments: Any) -> Any:
    """Call ``module:function`` of this package in a process of its own.

    Args:
        target: the function; if it returns a coroutine, it is run.
        environ: added to the environment.
        arguments: of the function; they and the result are JSON.
    """
    with start_job(target, environ, **arguments) as process:
        return result_of(process)


def start_job(
    target: str, environ: Mapping[str, str] | None = None, **arguments: Any
) -> "subprocess.Popen[str]":
    """The same, without waiting for it."""
    command = [sys.executable, "-m", "benchmarks.job", target, json.dumps(arguments)]
    # Nothing from outside decides what is measured.
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("EVMON", "OTEL"))}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**clean, **(environ or {})},
    )


def result_of(process: "subprocess.Popen[str]", within: float = 300) -> Any:
    """Wait for a job and return what it found.

    Raises:
        RuntimeError: it failed.
    """
    try:
        output, _ = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    if process.returncode:
        raise RuntimeError(f"a job failed: {process.args}")
    return json.loads(output.splitlines()[-1])


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a share of all values lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _spread(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    low, _, high = quantiles(values, n=4)
    return (high - low) / 2
