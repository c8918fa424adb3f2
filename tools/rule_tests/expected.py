"""The alerts that a unit test expects, with labels and annotations."""

import re
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any, Final

from evmon._alerting.promql import BUS, DESTINATION, GROUP, INSTANCE, JOB
from evmon._alerting.rules.alert import Alert
from evmon._alerting.rules_file import RuleOptions, annotations
from tools.rule_tests.subjects import Subject

INSTANCES: Final = ("a:9464", "b:9464")
_LABELS: Final = {JOB: "shop", BUS: "shop", DESTINATION: "shop", GROUP: "shop"}


class ExpectedAlerts:
    """The expected alerts of one name: a critical value raises the warning as well.

    Args:
        name: name of the alerts.
        every: all alerts with their test data.
        options: options of the rules file.
    """

    def __init__(
        self, name: str, every: Iterable[Subject], options: RuleOptions
    ) -> None:
        self._subjects = [subject for subject in every if subject.alert.name == name]
        self._options = options

    @property
    def healthy_value(self) -> float:
        """A value that raises none of the alerts."""
        values = [subject.silent_value for subject in self._subjects]
        return next(
            value
            for value in values
            if not any(subject.fires_at(value) for subject in self._subjects)
        )

    def at(self, *values: float) -> list[dict[str, Any]]:
        """Return the expected alerts for the value of each instance."""
        return [
            self._expected(subject.alert, value, instance)
            for value, instance in zip(values, INSTANCES, strict=False)
            for subject in self._subjects
            if subject.fires_at(value)
        ]

    def _expected(self, alert: Alert, value: float, instance: str) -> dict[str, Any]:
        all_labels = {**_LABELS, INSTANCE: instance}
        labels = {name: all_labels[name] for name in alert.by}
        templates = annotations(alert, self._options)
        return {
            "exp_labels": {"severity": alert.severity, **labels},
            "exp_annotations": {
                key: _render(template, labels, value)
                for key, template in templates.items()
            },
        }


def _render(template: str, labels: Mapping[str, str], value: float) -> str:
    """Render the template expressions that the rules use as Prometheus does."""
    text = template.replace('{{ $value | printf "%.4g" }}', f"{value:.4g}")

    def replace(match: re.Match[str]) -> str:
        label = labels.get(match[1], "")
        return urllib.parse.quote_plus(label) if match[2] else label

    return re.sub(r"{{ \$labels\.(\w+)( \| urlquery)? }}", replace, text)
