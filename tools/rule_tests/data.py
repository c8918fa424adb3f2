"""Defines the data of the unit tests of an alert: its input series and values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from evmon._alerting.output import to_yaml
from evmon._alerting.promql import (
    BUS,
    INSTANCE,
    JOB,
    SCRAPE_INTERVAL_SECONDS,
    UPTIME,
    duration,
)
from evmon._alerting.rules.alert import Severity
from evmon._settings.thresholds import Thresholds

EVALUATION: Final = 2 * SCRAPE_INTERVAL_SECONDS
"""Seconds between two evaluations of the rules."""

STEP: Final = SCRAPE_INTERVAL_SECONDS
"""Seconds between two samples of an input series."""

Shape = Literal["gauge", "creep", "counter", "burst", "uptime", "restarts", "flapping"]


@dataclass(frozen=True, slots=True)
class Input:
    """An input series of a unit test.

    Attributes:
        series: metric name and labels; ``job`` and ``instance`` are added.
        shape: course of the values. A ``gauge`` is constant; a ``creep`` is a gauge that
            rises by a tiny part at each sample. A ``counter`` grows by `value` in each
            window, a ``burst`` by all of `value` at once. An ``uptime`` rises by the
            seconds that pass; ``restarts`` is an uptime that is reset `value` times.
            ``flapping`` is 0 in `value` percent of the samples, otherwise 1.
        value: size of the shape.
        shared: whether `value` is the sum over all instances, each of which has an equal
            part.
    """

    series: str
    shape: Shape
    value: float
    shared: bool = False


Inputs: TypeAlias = Callable[[float], tuple[Input, ...]]
"""Returns the input series that give the alert's expression a value."""


@dataclass(frozen=True, slots=True)
class SilentInputs:
    """Input series that must not raise the alert.

    Each adds a test "is silent …".

    Attributes:
        case: rest of the test's name.
        inputs: input series; they get a value that would raise the alert.
        before: input series of the time before; `inputs` by default.
    """

    case: str
    inputs: Inputs
    before: Inputs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertData:
    """Data of the unit tests of an alert.

    Attributes:
        inputs: input series for a value of the alert's expression.
        silent: input series that must not raise the alert.
        firing_value: value that raises the alert; derived from the limit by default.
        silent_value: value that does not raise the alert; as near to the limit as
            floating-point arithmetic allows by default.
        counts_events: whether the value is an exact number of events. Then the firing
            value is one above the limit, and there is no test "fires on over a restart":
            a new process has counted nothing.
        counts_before_first_scrape: adds "sees what came before the first scrape".
        series_appear_on_failure: adds "sees the first value of a series that appears
            late".
        counters_grow_while_healthy: whether counters also grow before the failure, instead
            of standing still.
        onset_seconds: seconds from the first sample of a failure until the expression has
            its value.
        lookback_seconds: range of the expression; the window by default.
    """

    inputs: Inputs
    silent: tuple[SilentInputs, ...] = ()
    firing_value: float | None = None
    silent_value: float | None = None
    counts_events: bool = False
    counts_before_first_scrape: bool = False
    series_appear_on_failure: bool = False
    counters_grow_while_healthy: bool = False
    onset_seconds: float = 0.0
    lookback_seconds: float = 0.0

    def with_uptime(self, inputs: tuple[Input, ...]) -> tuple[Input, ...]:
        """Add the uptime, if the alert counts what came before the first scrape."""
        if not self.counts_before_first_scrape:
            return inputs
        return (*inputs, Input(UPTIME, "uptime", 0))


DataByAlert: TypeAlias = Mapping[tuple[str, Severity], AlertData]
"""Data of the unit tests for each alert, by name and severity."""


def enough_events(minimum: float, limits: Thresholds) -> float:
    """Return events per window of which each sample interval alone has over `minimum`."""
    return 2 * minimum * limits.window_seconds / STEP


def labelled(series: str, instance: str) -> str:
    """Return an input series with the labels of its process."""
    own = f'{JOB}="shop",{INSTANCE}="{instance}"'
    if series.startswith(("evmon_", "messaging_")):
        own += f',{BUS}="shop"'
    name, _, labels = series.rstrip("}").partition("{")
    return f"{name}{{{own}{',' if labels else ''}{labels}}}"


def test_file(tests: Sequence[Mapping[str, Any]], rules_file: str) -> str:
    """Return a file of unit tests for ``promtool test rules``, as YAML.

    Args:
        tests: unit tests.
        rules_file: path of the rules file, relative to the file of unit tests.
    """
    return to_yaml(
        {
            "rule_files": [rules_file],
            "evaluation_interval": duration(EVALUATION),
            # Alert rules use the results of recording rules of the same evaluation.
            "group_eval_order": ["evmon.rules", "evmon.alerts"],
            "tests": tests,
        }
    )
