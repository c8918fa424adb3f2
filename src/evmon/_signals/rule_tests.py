"""Unit tests of the alert rules, for ``promtool test rules``.

Every alert is shown to fire beyond its limit, to keep silent just within it, to survive a
restart, and to be right about several instances; where it has a guard, to keep silent
when there is too little traffic.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from evmon._signals.alert import Alert, Input
from evmon._signals.promql import (
    DESTINATION,
    GROUP,
    INSTANCE,
    JOB,
    UPTIME,
    number,
)
from evmon._signals.rules import HEADER, RuleOptions, alerts, annotations, to_yaml
from evmon._thresholds import Thresholds

STEP: Final = 15
STEPS: Final = 160
RESTART: Final = 80
"""Steps after which the process of a test starts again."""

RISE: Final = 16
"""Steps before the end at which a rise begins; the window must reach beyond it."""

YOUNG: Final = 12
"""Steps for which a young process runs, if the window is not shorter."""

LIFE: Final = 4
"""Steps from one restart to the next."""

_LABELS: Final = {
    JOB: "shop",
    INSTANCE: "a:9464",
    DESTINATION: "shop",
    GROUP: "shop",
}
_Inputs = Callable[[float], tuple[Input, ...]]


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
        {"rule_files": [rules_file], "evaluation_interval": "30s", "tests": tests}
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
        # A critical value is one to warn of, too.
        self._same = [other for other in everything if other.name == alert.name]
        self._options = options
        self._window = limits.window_seconds

    def all(self) -> Iterator[dict[str, Any]]:
        """Every case."""
        alert, beyond, within = (
            self._alert,
            self._alert.level_beyond,
            self._alert.level_within,
        )
        yield self._case("fires", [beyond], [beyond])
        yield self._case("is silent just within", [within], [within])
        yield self._restart(beyond, within)
        yield self._case(
            "is silent when several are within",
            [within, within],
            [within] if INSTANCE not in alert.by else [within, within],
        )
        if INSTANCE in alert.by:
            yield self._case("fires for one of several", [beyond, within])
        else:
            yield self._case("fires once for several", [beyond, beyond], [beyond])
        if alert.counts:
            yield self._young(beyond)
        if alert.quiet(beyond):
            yield self._case("is silent without traffic", [beyond], [], alert.quiet)

    def _case(
        self,
        what: str,
        levels: Sequence[float],
        expected: Sequence[float] | None = None,
        inputs: _Inputs | None = None,
    ) -> dict[str, Any]:
        make = inputs or self._alert.inputs
        series = []
        for level, instance in zip(levels, ("a:9464", "b:9464"), strict=False):
            series += [
                self._series(given, instance, _plain(given, self._window, len(levels)))
                for given in make(level)
            ]
        raised = self._expected(levels if expected is None else expected)
        return self._test(what, series, [(STEPS, raised)])

    def _restart(self, beyond: float, within: float) -> dict[str, Any]:
        """Beyond the limit, then a new process that is within it."""
        series = []
        for before, after in zip(
            self._alert.inputs(beyond), _padded(self._alert, within), strict=True
        ):
            values = f"{_first(before, self._window)} {_second(after, self._window)}"
            series.append(self._series(before, "a:9464", values))
        checks = [
            (RESTART, self._expected([beyond])),
            (STEPS, self._expected([within])),
        ]
        return self._test("clears after a restart", series, checks)

    def _young(self, beyond: float) -> dict[str, Any]:
        """A process that had counted it all when it was scraped for the first time."""
        steps = min(YOUNG, round(self._window / STEP) - 2)
        gap = f"_x{STEPS - steps - 1}"
        uptime = Input(UPTIME, "gauge", 0)
        series = [self._series(uptime, "a:9464", f"{gap} 5+{STEP}x{steps}")]
        for given in self._alert.inputs(beyond):
            value = math.floor(given.value)
            series.append(self._series(given, "a:9464", f"{gap} {value}+0x{steps}"))
        checks = [(STEPS, self._expected([beyond]))]
        return self._test("sees what came before the first scrape", series, checks)

    def _series(self, given: Input, instance: str, values: str) -> dict[str, str]:
        own = f'{JOB}="shop",{INSTANCE}="{instance}"'
        name, _, labels = given.series.rstrip("}").partition("{")
        return {
            "series": f"{name}{{{own}{',' if labels else ''}{labels}}}",
            "values": values,
        }

    def _expected(self, levels: Sequence[float]) -> list[dict[str, Any]]:
        raised = []
        for level, instance in zip(levels, ("a:9464", "b:9464"), strict=False):
            for alert in self._same:
                if alert.is_raised_by(level):
                    values = {**_LABELS, INSTANCE: instance}
                    labels = {name: values[name] for name in alert.by}
                    notes = annotations(alert, self._options)
                    value = alert.value_of(level)
                    raised.append(
                        {
                            "exp_labels": {"severity": alert.severity, **labels},
                            "exp_annotations": {
                                key: _rendered(text, labels, value)
                                for key, text in notes.items()
                            },
                        }
                    )
        return raised

    def _test(
        self,
        what: str,
        series: list[dict[str, str]],
        checks: list[tuple[int, list[dict[str, Any]]]],
    ) -> dict[str, Any]:
        return {
            "name": f"{self._alert.name} ({self._alert.severity}) {what}",
            "interval": f"{STEP}s",
            "input_series": series,
            "alert_rule_test": [
                {
                    "eval_time": f"{step * STEP // 60}m",
                    "alertname": self._alert.name,
                    "exp_alerts": raised,
                }
                for step, raised in checks
            ],
        }


def _padded(alert: Alert, level: float) -> tuple[Input, ...]:
    """The inputs of a level, in the places of those of the level beyond."""
    wanted = {given.series: given for given in alert.inputs(level)}
    return tuple(
        wanted.get(given.series, Input(given.series, "gone", 0))
        for given in alert.inputs(alert.level_beyond)
    )


def _plain(given: Input, window: float, instances: int = 1) -> str:
    """Values of a process that runs all the time."""
    if given.shape == "counter":
        share = given.value / instances if given.shared else given.value
        return f"0+{_exact(share * STEP / window)}x{STEPS}"
    return _held(given, STEPS)


def _first(given: Input, window: float) -> str:
    """Values up to the restart; a process that has run for long has counted a lot."""
    if given.shape == "counter":
        return f"100000+{_exact(given.value * STEP / window)}x{RESTART}"
    return _held(given, RESTART)


def _second(given: Input, window: float) -> str:
    """Values of the new process, after a minute in which there is none."""
    steps = STEPS - RESTART - 4
    gap = "stale _x3"
    if given.shape == "gone":
        return f"{gap} _x{steps}"
    if given.shape == "counter":
        return f"{gap} 0+{_exact(given.value * STEP / window)}x{steps}"
    return f"{gap} {number(given.value)}+0x{steps}"


def _held(given: Input, steps: int) -> str:
    value = number(given.value)
    if given.shape == "gone":
        return f"{value}+0x20 _x{steps - 21}"
    if given.shape == "rise":
        half, most = number(given.value / 2), _exact(0.9 * given.value)
        slope = _exact(0.1 * given.value / (RISE - 4))
        # It is there for the last looks: rules may see each other's last results.
        rise = f"{most}+{slope}x{RISE - 4} {value}+0x2"
        return f"{half}+0x{steps - RISE} {rise}"
    if given.shape == "restarts":
        lives = round(given.value)
        first = f"900+{STEP}x{steps - lives * LIFE}"
        return " ".join([first, *[f"1+{STEP}x{LIFE - 1}"] * lives])
    return f"{value}+0x{steps}"


def _exact(value: float) -> str:
    return f"{value:.12f}".rstrip("0").rstrip(".") or "0"


def _rendered(text: str, labels: dict[str, str], value: float) -> str:
    """What Prometheus makes of a template, for the templates that the rules use."""
    text = text.replace('{{ $value | printf "%.4g" }}', f"{value:.4g}")
    return re.sub(
        r"{{ \$labels\.(\w+)(?: \| urlquery)? }}",
        lambda match: labels.get(match[1], ""),
        text,
    )
