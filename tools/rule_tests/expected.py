"""What is raised in the rules' unit tests, as Prometheus would write it."""

import re
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any, Final

from evmon._alerting.promql import DESTINATION, GROUP, INSTANCE, JOB
from evmon._alerting.rules.alert import Alert
from evmon._alerting.rules_file import RuleOptions, annotations

INSTANCES: Final = ("a:9464", "b:9464")
_LABELS: Final = {JOB: "shop", DESTINATION: "shop", GROUP: "shop"}


class Expected:
    """The alerts of one name, which one value may raise together.

    Args:
        alert: one of them.
        everything: all alerts.
        options: of the rules.
    """

    def __init__(
        self, alert: Alert, everything: Iterable[Alert], options: RuleOptions
    ) -> None:
        # A critical value is one to warn of, too.
        self._same = [other for other in everything if other.name == alert.name]
        self._options = options

    @property
    def fine(self) -> float:
        """A value that raises none of them."""
        return next(
            alert.level_within
            for alert in self._same
            if not any(other.is_raised_by(alert.level_within) for other in self._same)
        )

    def raised(self, *levels: float) -> list[dict[str, Any]]:
        """What is raised, for the value of each instance."""
        return [
            self._alert(alert, level, instance)
            for level, instance in zip(levels, INSTANCES, strict=False)
            for alert in self._same
            if alert.is_raised_by(level)
        ]

    def _alert(self, alert: Alert, value: float, instance: str) -> dict[str, Any]:
        every = {**_LABELS, INSTANCE: instance}
        labels = {name: every[name] for name in alert.by}
        notes = annotations(alert, self._options)
        return {
            "exp_labels": {"severity": alert.severity, **labels},
            "exp_annotations": {
                key: _rendered(text, labels, value) for key, text in notes.items()
            },
        }


def _rendered(text: str, labels: Mapping[str, str], value: float) -> str:
    """What Prometheus makes of a template, for the templates that the rules use."""
    text = text.replace('{{ $value | printf "%.4g" }}', f"{value:.4g}")

    def filled(match: re.Match[str]) -> str:
        label = labels.get(match[1], "")
        return urllib.parse.quote_plus(label) if match[2] else label

    return re.sub(r"{{ \$labels\.(\w+)( \| urlquery)? }}", filled, text)
