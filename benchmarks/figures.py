"""Figures: alternating contenders, ratios within a round, medians and spreads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field
from statistics import median, quantiles
from typing import Any, Literal

Verdict = Literal["reach", "bar", "missed", "-"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How much to measure.

    Attributes:
        rounds: number of rounds.
        quick: whether to use a fifth of the events.
    """

    rounds: int = 5
    quick: bool = False

    def count(self, full: int) -> int:
        """The number of events to use instead of the full number."""
        return full // 5 if self.quick else full


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the report.

    Attributes:
        benchmark: name of the benchmark.
        name: description of the value.
        value: median of the rounds.
        spread: half the interquartile range of the rounds; 0 for a single measurement.
        bar: worst value that passes; None if any value passes.
        reach: target value; None if there is none.
        at_least: whether higher is better.
        unit: unit of the value; empty for a ratio.
        medians: median of each contender, in the unit of the contender.
    """

    benchmark: str
    name: str
    value: float
    _: KW_ONLY
    spread: float = 0.0
    bar: float | None = None
    reach: float | None = None
    at_least: bool = True
    unit: str = ""
    medians: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """Whether the value meets the reach, the bar, or neither."""
        if self.bar is None:
            return "-"
        if self.reach is not None and self._meets(self.reach):
            return "reach"
        return "bar" if self._meets(self.bar) else "missed"

    def as_json(self) -> dict[str, Any]:
        """The figure and its verdict as JSON."""
        return {**asdict(self), "medians": dict(self.medians), "verdict": self.verdict}

    def _meets(self, limit: float) -> bool:
        return self.value >= limit if self.at_least else self.value <= limit


@dataclass(frozen=True, slots=True)
class Results:
    """The values of each contender, one for each round.

    Attributes:
        benchmark: name of the benchmark.
        values: values by contender.
    """

    benchmark: str
    values: Mapping[str, Sequence[float]]

    def ratio(self, contender: str, baseline: str, **options: Any) -> Figure:
        """The ratio of two contenders.

        Both values of a round are measured within seconds, so other load on the machine
        affects both.

        Args:
            contender: numerator.
            baseline: denominator.
            options: further attributes of the figure.
        """
        pairs = zip(self.values[contender], self.values[baseline], strict=True)
        ratios = [a / b for a, b in pairs]
        return Figure(
            self.benchmark,
            options.pop("name", f"{contender} / {baseline}"),
            median(ratios),
            spread=_spread(ratios),
            medians={name: median(self.values[name]) for name in (contender, baseline)},
            **options,
        )


def alternate(
    benchmark: str, contenders: Mapping[str, Callable[[], float]], settings: Settings
) -> Results:
    """Measure all contenders in each round, in reverse order in every other round.

    Args:
        benchmark: name of the benchmark.
        contenders: function that measures one value, by contender.
        settings: number of rounds.
    """
    values: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for _ in range(settings.rounds):
        for name in order:
            values[name].append(contenders[name]())
        order.reverse()
    return Results(benchmark, values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a share of all values lies.

    Args:
        values: values in any order.
        share: share between 0 and 1.
    """
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _spread(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    low, _, high = quantiles(values, n=4)
    return (high - low) / 2
