"""Generates the file of unit tests for ``promtool test rules``.

The tests of an alert show that it fires when its ``for:`` is over and not before, is
silent just within its limit, is right before and after a restart and for several
instances and consumer groups, and is silent where its guard does not hold.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from evmon._alerting.promql import DESTINATION, INSTANCE, duration
from evmon._alerting.rules.scrapes import CARRY_SECONDS
from evmon._alerting.rules_file import DEFAULTS
from evmon._settings.thresholds import Thresholds
from tools.rule_tests.data import (
    EVALUATION,
    STEP,
    Input,
    SilentInputs,
    labelled,
    test_file,
)
from tools.rule_tests.expected import INSTANCES, ExpectedAlerts
from tools.rule_tests.series import RESTART, Phase, series_of
from tools.rule_tests.subjects import Subject, subjects

_HEALTHY: Final = 360 // STEP
"""Minimum number of steps before the failure."""

_GAP: Final = 4
"""Steps without a process before it is started again."""

_Check = tuple[int, Sequence[Mapping[str, Any]]]
"""A step, and the alerts that are expected at that step."""


def rule_tests(limits: Thresholds, rules_file: str) -> str:
    """Return the file of unit tests as YAML.

    Args:
        limits: limits of the rules.
        rules_file: path of the rules file, relative to the file of unit tests.
    """
    every = subjects(limits)
    tests = [
        test
        for subject in every
        for test in _Cases(
            subject,
            ExpectedAlerts(subject.alert.name, every, DEFAULTS),
            limits.window_seconds,
        ).all()
    ]
    return test_file(tests, rules_file)


class _Cases:
    """The unit tests of one alert.

    Args:
        subject: alert with its test data.
        expected: expected alerts of the same name.
        window_seconds: window of the limits.
    """

    def __init__(
        self, subject: Subject, expected: ExpectedAlerts, window_seconds: float
    ) -> None:
        alert, data = subject.alert, subject.data
        self._alert, self._data = alert, data
        self._firing, self._silent = subject.firing_value, subject.silent_value
        self._expected = expected
        self._window = window_seconds
        self._hold = _steps(alert.hold_seconds)
        # Steps from the first sample of the failure until the alert fires.
        self._delay = _steps(data.onset_seconds) + self._hold
        # Steps until the samples of an earlier phase are out of range.
        ranges = window_seconds + CARRY_SECONDS, data.lookback_seconds
        self._lookback = _steps(max(ranges) + alert.keep_seconds) + 4
        # The step of the first sample of the failure.
        growing = data.counters_grow_while_healthy
        self._start = max(_HEALTHY, self._lookback if growing else 0)

    def all(self) -> Iterator[dict[str, Any]]:
        """Yield every test."""
        alert, data = self._alert, self._data
        yield self._fires()
        yield self._silent_within_limit()
        yield self._clears()
        if not data.onset_seconds:
            yield self._restart_within_limit()
            if not data.counts_events:
                yield self._restart_while_firing()
        yield from self._several_instances()
        if DESTINATION in alert.by:
            yield self._two_groups()
        if data.counts_before_first_scrape and alert.hold_seconds + STEP < self._window:
            yield self._before_first_scrape()
        if (
            data.series_appear_on_failure
            and alert.hold_seconds + 2 * EVALUATION < self._window
        ):
            yield self._late_series()
        for silent in data.silent:
            yield self._silent_inputs(silent)

    def _fires(self) -> dict[str, Any]:
        checks: list[_Check] = [(self._start - 2, ())]
        if self._hold:
            checks.append((self._start + self._hold - 2, ()))
        checks.append((self._start + self._delay, self._expected.at(self._firing)))
        phases = [self._healthy(), self._phase(self._firing, self._delay + 2)]
        return self._test("fires after its time and not before", [phases], checks)

    def _silent_within_limit(self) -> dict[str, Any]:
        steps = self._lookback + self._delay
        phases = [self._healthy(), self._phase(self._silent, steps + 2)]
        # A value within the critical limit may raise the warning.
        expected = self._expected.at(self._silent)
        checks = [
            (self._start + self._delay, expected),
            (self._start + steps, expected),
        ]
        return self._test("is silent just within", [phases], checks)

    def _clears(self) -> dict[str, Any]:
        fired = self._start + self._delay
        steps = self._lookback + self._delay
        phases = [
            self._healthy(),
            self._phase(self._firing, self._delay + 2),
            Phase(None, _GAP),
            self._phase(self._silent, steps),
        ]
        checks = [
            (fired, self._expected.at(self._firing)),
            (fired + _GAP + steps, self._expected.at(self._silent)),
        ]
        return self._test("clears after a restart", [phases], checks)

    def _restart_within_limit(self) -> dict[str, Any]:
        before = self._delay + 2
        phases = [
            self._healthy(),
            self._phase(self._silent, before),
            RESTART,
            self._phase(self._silent, self._lookback + 2),
        ]
        expected = self._expected.at(self._silent)
        checks = self._checks_in_lookback(self._start + before, expected)
        return self._test("is silent over a restart", [phases], checks)

    def _restart_while_firing(self) -> dict[str, Any]:
        # Without `UPTIME`, so that only the range of the expression sees the restart.
        before = self._delay + 2
        inputs = self._data.inputs(self._firing)
        healthy = self._data.inputs(self._expected.healthy_value)
        phases = [
            dataclasses.replace(self._healthy(), inputs=healthy),
            Phase(inputs, before),
            RESTART,
            Phase(inputs, self._lookback + 2),
        ]
        expected = self._expected.at(self._firing)
        checks = self._checks_in_lookback(self._start + before, expected)
        return self._test("fires on over a restart", [phases], checks)

    def _several_instances(self) -> Iterator[dict[str, Any]]:
        firing, silent = self._firing, self._silent
        if INSTANCE in self._alert.by:
            one = self._expected.at(firing, silent)
            both = self._expected.at(silent, silent)
        else:
            worst = silent if self._alert.op == "==" else max(firing, silent)
            one, both = self._expected.at(worst), self._expected.at(silent)
            yield self._two_instances(
                "fires once for several", (firing, firing), self._expected.at(firing)
            )
        yield self._two_instances(
            "is right about one of several", (firing, silent), one
        )
        yield self._two_instances(
            "is silent when several are within", (silent, silent), both
        )

    def _two_instances(
        self, case: str, values: tuple[float, float], expected: Sequence[Any]
    ) -> dict[str, Any]:
        phases = [
            [self._healthy(), self._phase(value, self._delay + 2)] for value in values
        ]
        return self._test(case, phases, [(self._start + self._delay, expected)])

    def _two_groups(self) -> dict[str, Any]:
        healthy = tuple(
            dataclasses.replace(given, series=given.series.replace('"shop"', '"mail"'))
            for given in self._inputs(self._expected.healthy_value)
        )
        steps = self._delay + 2
        phases = [
            [self._healthy(), self._phase(self._firing, steps)],
            [Phase(healthy, self._start + steps)],
        ]
        checks = [(self._start + self._delay, self._expected.at(self._firing))]
        return self._test("fires for one group of two", phases, checks, instances=1)

    def _before_first_scrape(self) -> dict[str, Any]:
        inputs = _at_once(self._inputs(self._firing))
        phases = [Phase(None, self._start), Phase(inputs, self._lookback + 2)]
        checks: list[_Check] = [
            (self._start + self._hold, self._expected.at(self._firing)),
            (self._start + self._lookback, ()),
        ]
        return self._test("sees what came before the first scrape", [phases], checks)

    def _late_series(self) -> dict[str, Any]:
        inputs = _at_once(self._inputs(self._firing))
        before = tuple(given for given in inputs if given.shape != "burst")
        phases = [Phase(before, self._start), Phase(inputs, self._delay + 2)]
        checks = [(self._start + self._delay, self._expected.at(self._firing))]
        case = "sees the first value of a series that appears late"
        return self._test(case, [phases], checks)

    def _silent_inputs(self, silent: SilentInputs) -> dict[str, Any]:
        inputs = self._data.with_uptime(silent.inputs(self._firing))
        before = self._data.with_uptime((silent.before or silent.inputs)(self._firing))
        steps = self._delay + 12
        phases = [Phase(before, self._start), Phase(inputs, steps)]
        checks: list[_Check] = [
            (step, ()) for step in range(self._start, self._start + steps, 2)
        ]
        return self._test(f"is silent {silent.case}", [phases], checks)

    def _healthy(self) -> Phase:
        inputs = self._inputs(self._expected.healthy_value)
        idle = not self._data.counters_grow_while_healthy
        return Phase(inputs, self._start, idle=idle)

    def _phase(self, value: float, steps: int) -> Phase:
        return Phase(self._inputs(value), steps)

    def _inputs(self, value: float) -> tuple[Input, ...]:
        return self._data.with_uptime(self._data.inputs(value))

    def _checks_in_lookback(self, start: int, expected: Sequence[Any]) -> list[_Check]:
        """Check each evaluation until all samples before `start` are out of range."""
        return [
            (step, expected) for step in range(start, start + self._lookback + 1, 2)
        ]

    def _test(
        self,
        case: str,
        processes: Sequence[Sequence[Phase]],
        checks: Sequence[_Check],
        instances: int = 0,
    ) -> dict[str, Any]:
        return {
            "name": f"{self._alert.name} ({self._alert.severity}) {case}",
            "interval": f"{STEP}s",
            "input_series": [
                {"series": labelled(series, instance), "values": values}
                for phases, instance in zip(processes, INSTANCES, strict=False)
                for series, values in series_of(
                    phases, self._window, instances or len(processes)
                ).items()
            ],
            "alert_rule_test": [
                {
                    "eval_time": duration(step * STEP),
                    "alertname": self._alert.name,
                    "exp_alerts": list(expected),
                }
                for step, expected in checks
            ],
        }


def _steps(seconds: float) -> int:
    """Return seconds in steps, rounded up to whole evaluations."""
    return math.ceil(seconds / EVALUATION) * EVALUATION // STEP


def _at_once(inputs: tuple[Input, ...]) -> tuple[Input, ...]:
    """Replace counters by bursts, which reach their value with the first sample."""
    return tuple(
        dataclasses.replace(given, shape="burst") if given.shape == "counter" else given
        for given in inputs
    )
