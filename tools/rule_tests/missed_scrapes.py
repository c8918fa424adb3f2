"""Generates unit tests in which scrapes are rare or fail.

After a failed scrape ``up`` is 0 and every other series of the target is stale. A fault
must raise its alert nevertheless, and the alert must not be resolved while it lasts.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from evmon._alerting.promql import duration
from evmon._alerting.rules.scrapes import CARRY_SECONDS
from evmon._settings.thresholds import Thresholds
from tools.rule_tests.data import EVALUATION, STEP, Input, labelled, test_file
from tools.rule_tests.expected import INSTANCES
from tools.rule_tests.series import Phase, series_of
from tools.rule_tests.subjects import Subject, subjects

_STAY_SECONDS: Final = 720
"""Time in which the alert must fire at every evaluation."""

_VALUES: Final = re.compile(r"(?P<start>[\d.]+)\+(?P<slope>[\d.]+)x(?P<count>\d+)")


@dataclass(frozen=True, slots=True)
class Scrapes:
    """Which scrapes of a target succeed.

    Attributes:
        interval: seconds between two scrapes.
        period: number of scrapes after which the pattern begins again.
        failed: how many scrapes at the end of each period fail.
    """

    interval: int
    period: int = 1
    failed: int = 0

    def __str__(self) -> str:
        failed = f"{self.failed} of {self.period} scrapes failing"
        return f"at {self.interval} s" + (f" with {failed}" if self.failed else "")

    def see(self, values: Sequence[str], missing: str) -> str:
        """Return what Prometheus stores of a series, in promtool's notation.

        Args:
            values: value of the series at each step.
            missing: what a failed scrape stores.
        """
        every = self.interval // STEP
        good = self.period - self.failed
        return " ".join(
            "_"
            if step % every
            else value
            if step // every % self.period < good
            else missing
            for step, value in enumerate(values)
        )


RARE: Final = Scrapes(60, period=2, failed=1)

PATTERNS: Final = (
    Scrapes(60),
    RARE,
    Scrapes(15, period=2, failed=1),
    Scrapes(15, period=8, failed=1),
    Scrapes(60, period=5, failed=2),
    Scrapes(60, period=9, failed=1),
)


def missed_scrape_tests(limits: Thresholds, rules_file: str) -> str:
    """Return the file of unit tests as YAML.

    Args:
        limits: limits of the rules.
        rules_file: path of the rules file, relative to the file of unit tests.
    """
    tests = (
        test
        for subject in subjects(limits)
        # The others are about the scrapes themselves.
        if subject.inputs(subject.firing_value) and not subject.data.onset_seconds
        for test in _of_alert(subject, limits.window_seconds)
    )
    return test_file(list(tests), rules_file)


def _of_alert(subject: Subject, window_seconds: float) -> Iterator[dict[str, Any]]:
    counts = subject.data.counts_events
    firing = 3 * subject.firing_value if counts else subject.firing_value
    silent = subject.silent_value / 2 if counts else subject.silent_value
    yield _test(subject, window_seconds, RARE, silent, fires=False)
    for scrapes in PATTERNS:
        yield _test(subject, window_seconds, scrapes, firing, fires=True)


def _test(
    subject: Subject,
    window_seconds: float,
    scrapes: Scrapes,
    value: float,
    *,
    fires: bool,
) -> dict[str, Any]:
    alert = subject.alert
    start = round(window_seconds + CARRY_SECONDS) // STEP
    seconds = alert.hold_seconds + window_seconds + CARRY_SECONDS + _STAY_SECONDS
    steps = round(seconds) // STEP
    healthy = _inputs(subject, subject.silent_value)
    phases = [
        Phase(healthy, start, idle=not subject.data.counters_grow_while_healthy),
        Phase(_inputs(subject, value), steps),
    ]
    firing = f'ALERTS{{alertname="{alert.name}",severity="{alert.severity}",'
    firing += 'alertstate="firing"}'
    least = _STAY_SECONDS // EVALUATION if fires else 1
    expr = f"count(count_over_time({firing}[{duration(_STAY_SECONDS)}]) >= {least})"
    return {
        "name": f"{alert.name} ({alert.severity})"
        f" {'fires' if fires else 'is silent'} {scrapes}",
        "interval": f"{STEP}s",
        "input_series": _seen(phases, window_seconds, scrapes, start + steps),
        "promql_expr_test": [
            {
                "expr": f"{expr} or vector(0)",
                "eval_time": duration((start + steps - 1) * STEP // 30 * 30),
                "exp_samples": [{"labels": "{}", "value": int(fires)}],
            }
        ],
    }


def _inputs(subject: Subject, value: float) -> tuple[Input, ...]:
    """Return the inputs, with bursts that go on."""
    return tuple(
        dataclasses.replace(given, shape="counter") if given.shape == "burst" else given
        for given in subject.inputs(value)
    )


def _seen(
    phases: Sequence[Phase], window_seconds: float, scrapes: Scrapes, steps: int
) -> list[Mapping[str, str]]:
    found = {"up": f"1+0x{steps - 1}", **series_of(phases, window_seconds)}
    return [
        {
            "series": labelled(name, INSTANCES[0]),
            "values": scrapes.see(
                list(_expanded(values)), "0" if name == "up" else "stale"
            ),
        }
        for name, values in found.items()
    ]


def _expanded(values: str) -> Iterator[str]:
    """Yield each value of a series in promtool's notation."""
    for part in values.split():
        match = _VALUES.fullmatch(part)
        if match:
            start, slope = float(match["start"]), float(match["slope"])
            for step in range(int(match["count"]) + 1):
                yield f"{start + slope * step:.12f}".rstrip("0").rstrip(".")
        elif part.startswith("_x"):
            yield from "_" * int(part[2:])
        else:
            yield part
