"""Unit tests of the alert rules, for ``promtool test rules``.

Every alert is shown to fire as soon as its ``for:`` is over and not before, to keep silent
just within its limit, to live through a restart, and to be right about several instances
and groups; where it has a guard, to keep silent when that does not hold.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from evmon._alerting.promql import (
    DESTINATION,
    INSTANCE,
    JOB,
    UPTIME,
    duration,
)
from evmon._alerting.rules.alert import STEP, Alert, Input, Quiet
from evmon._alerting.rules_file import HEADER, RuleOptions, alerts, to_yaml
from evmon._settings.thresholds import Thresholds
from tools.rule_tests.expected import INSTANCES, Expected
from tools.rule_tests.series import RESTART, Phase, series_of

_TICK: Final = 2 * STEP
"""Seconds from one evaluation to the next."""

_CALM: Final = 360 // STEP
"""Steps before something happens, at least."""

_GAP: Final = 4
"""Steps in which there is no process, where one starts again."""

_Check = tuple[int, Sequence[Mapping[str, Any]]]
"""A step, and the alerts that are raised then."""


def rule_tests(limits: Thresholds, options: RuleOptions, rules_file: str) -> str:
    """The file of unit tests.

    Args:
        limits: those of the rules.
        options: those of the rules.
        rules_file: path of the rules, from the file of tests.
    """
    everything = alerts(limits)
    tests = [
        test
        for alert in everything
        for test in _Cases(alert, everything, limits, options).all()
    ]
    return HEADER + to_yaml(
        {
            "rule_files": [rules_file],
            "evaluation_interval": duration(_TICK),
            # Else an alert may or may not see what was recorded in the same moment.
            "group_eval_order": ["evmon.rules", "evmon.alerts"],
            "tests": tests,
        }
    )


class _Cases:
    """The tests of one alert."""

    def __init__(
        self,
        alert: Alert,
        everything: Iterable[Alert],
        limits: Thresholds,
        options: RuleOptions,
    ) -> None:
        self._alert = alert
        expected = Expected(alert, everything, options)
        self._raised, self._fine = expected.raised, expected.fine
        self._window = limits.window_seconds
        self._hold = _steps(alert.hold_seconds)
        self._fired = _steps(alert.onset_seconds) + self._hold
        self._memory = _steps(max(self._window, alert.looks_back_seconds)) + 4
        self._calm_steps = max(_CALM, self._memory if alert.steady else 0)

    def all(self) -> Iterator[dict[str, Any]]:
        """Every case."""
        alert = self._alert
        yield self._fires()
        yield self._is_silent_within()
        yield self._clears()
        if not alert.onset_seconds:
            yield self._restarts_within()
            if not alert.counts:
                yield self._restarts_beyond()
        yield from self._several()
        if alert.by[1:2] == (DESTINATION,):
            yield self._two_groups()
        if alert.early and alert.hold_seconds + STEP < self._window:
            yield self._young()
        if alert.late and alert.hold_seconds + 2 * _TICK < self._window:
            yield self._late()
        for quiet in alert.quiet:
            yield self._is_silent(quiet)

    def _fires(self) -> dict[str, Any]:
        beyond = self._alert.level_beyond
        start = self._calm_steps
        checks: list[_Check] = [(start - 2, ())]
        if self._hold:
            checks.append((start + self._hold - 2, ()))
        checks.append((start + self._fired, self._raised(beyond)))
        phases = [self._calm(), self._at(beyond, self._fired + 2)]
        return self._test("fires after its time and not before", [phases], checks)

    def _is_silent_within(self) -> dict[str, Any]:
        within = self._alert.level_within
        start, steps = self._calm_steps, self._memory + self._fired
        phases = [self._calm(), self._at(within, steps + 2)]
        raised = self._raised(within)
        checks = [(start + self._fired, raised), (start + steps, raised)]
        return self._test("is silent just within", [phases], checks)

    def _clears(self) -> dict[str, Any]:
        beyond, within = self._alert.level_beyond, self._alert.level_within
        last = self._calm_steps + self._fired
        new = self._memory + self._fired
        phases = [
            self._calm(),
            self._at(beyond, self._fired + 2),
            Phase(None, _GAP),
            self._at(within, new),
        ]
        checks = [
            (last, self._raised(beyond)),
            (last + _GAP + new, self._raised(within)),
        ]
        return self._test("clears after a restart", [phases], checks)

    def _restarts_within(self) -> dict[str, Any]:
        within = self._alert.level_within
        before, start = self._fired + 2, self._calm_steps + self._fired + 2
        phases = [
            self._calm(),
            self._at(within, before),
            RESTART,
            self._at(within, self._memory + 2),
        ]
        # What is within for critical may be beyond for the warning, and stays there.
        checks = self._while_it_is_remembered(start, self._raised(within))
        return self._test("is silent over a restart", [phases], checks)

    def _restarts_beyond(self) -> dict[str, Any]:
        """Without an uptime: it is the range that must see the restart."""
        beyond, calm = self._alert.level_beyond, self._calm()
        before, start = self._fired + 2, self._calm_steps + self._fired + 2
        inputs = self._alert.inputs(beyond)
        phases = [
            dataclasses.replace(calm, inputs=self._alert.inputs(self._fine)),
            Phase(inputs, before),
            RESTART,
            Phase(inputs, self._memory + 2),
        ]
        checks = self._while_it_is_remembered(start, self._raised(beyond))
        return self._test("fires on over a restart", [phases], checks)

    def _several(self) -> Iterator[dict[str, Any]]:
        alert, beyond, within = (
            self._alert,
            self._alert.level_beyond,
            self._alert.level_within,
        )
        if INSTANCE in alert.by:
            one, both = self._raised(beyond, within), self._raised(within, within)
        else:
            worst = within if alert.op == "==" else max(beyond, within)
            one, both = self._raised(worst), self._raised(within)
            yield self._pair(
                "fires once for several", beyond, beyond, self._raised(beyond)
            )
        yield self._pair("is right about one of several", beyond, within, one)
        yield self._pair("is silent when several are within", within, within, both)

    def _pair(
        self, what: str, first: float, second: float, raised: Sequence[Any]
    ) -> dict[str, Any]:
        phases = [
            [self._calm(), self._at(level, self._fired + 2)]
            for level in (first, second)
        ]
        return self._test(what, phases, [(self._calm_steps + self._fired, raised)])

    def _two_groups(self) -> dict[str, Any]:
        beyond = self._alert.level_beyond
        fine = tuple(
            dataclasses.replace(given, series=given.series.replace('"shop"', '"mail"'))
            for given in self._inputs(self._fine)
        )
        steps = self._fired + 2
        bad = self._at(beyond, steps)
        phases = [
            [self._calm(), bad],
            [Phase(fine, self._calm_steps + steps)],
        ]
        raised = self._raised(beyond)
        checks = [(self._calm_steps + self._fired, raised)]
        return self._test("fires for one group of two", phases, checks, instances=1)

    def _young(self) -> dict[str, Any]:
        """A process that had counted it all when it was scraped for the first time."""
        beyond, start = self._alert.level_beyond, self._calm_steps
        at_once = _at_once(self._inputs(beyond))
        phases = [Phase(None, start), Phase(at_once, self._memory + 2)]
        checks: list[_Check] = [
            (start + self._hold, self._raised(beyond)),
            (start + self._memory, ()),
        ]
        return self._test("sees what came before the first scrape", [phases], checks)

    def _late(self) -> dict[str, Any]:
        """A series that is not there before it counts something."""
        beyond = self._alert.level_beyond
        inputs = _at_once(self._inputs(beyond))
        before = tuple(given for given in inputs if given.shape != "burst")
        phases = [Phase(before, self._calm_steps), Phase(inputs, self._fired + 2)]
        checks = [(self._calm_steps + self._fired, self._raised(beyond))]
        return self._test("sees what a late series begins with", [phases], checks)

    def _is_silent(self, quiet: Quiet) -> dict[str, Any]:
        inputs = self._with_uptime(quiet.inputs(self._alert.level_beyond))
        steps = self._fired + 12
        before = quiet.before or quiet.inputs
        calm = Phase(
            self._with_uptime(before(self._alert.level_beyond)), self._calm_steps
        )
        phases = [calm, Phase(inputs, steps)]
        checks: list[_Check] = [
            (step, ()) for step in range(self._calm_steps, self._calm_steps + steps, 2)
        ]
        return self._test(f"is silent {quiet.what}", [phases], checks)

    def _calm(self) -> Phase:
        return Phase(
            self._inputs(self._fine), self._calm_steps, idle=not self._alert.steady
        )

    def _at(self, level: float, steps: int) -> Phase:
        return Phase(self._inputs(level), steps)

    def _inputs(self, level: float) -> tuple[Input, ...]:
        return self._with_uptime(self._alert.inputs(level))

    def _with_uptime(self, inputs: tuple[Input, ...]) -> tuple[Input, ...]:
        return (*inputs, Input(UPTIME, "uptime", 0)) if self._alert.early else inputs

    def _while_it_is_remembered(
        self, start: int, raised: Sequence[Any]
    ) -> list[_Check]:
        """Every look until nothing of what was before is in the window."""
        return [(step, raised) for step in range(start, start + self._memory + 1, 2)]

    def _test(
        self,
        what: str,
        processes: Sequence[Sequence[Phase]],
        checks: Sequence[_Check],
        instances: int = 0,
    ) -> dict[str, Any]:
        return {
            "name": f"{self._alert.name} ({self._alert.severity}) {what}",
            "interval": f"{STEP}s",
            "input_series": [
                {"series": _labelled(series, instance), "values": values}
                for phases, instance in zip(processes, INSTANCES, strict=False)
                for series, values in series_of(
                    phases, self._window, instances or len(processes)
                ).items()
            ],
            "alert_rule_test": [
                {
                    "eval_time": duration(step * STEP),
                    "alertname": self._alert.name,
                    "exp_alerts": list(raised),
                }
                for step, raised in checks
            ],
        }


def _steps(seconds: float) -> int:
    """Samples until an evaluation is that long after another one."""
    return math.ceil(seconds / _TICK) * _TICK // STEP


def _at_once(inputs: tuple[Input, ...]) -> tuple[Input, ...]:
    return tuple(
        dataclasses.replace(given, shape="burst") if given.shape == "counter" else given
        for given in inputs
    )


def _labelled(series: str, instance: str) -> str:
    own = f'{JOB}="shop",{INSTANCE}="{instance}"'
    name, _, labels = series.rstrip("}").partition("{")
    return f"{name}{{{own}{',' if labels else ''}{labels}}}"
