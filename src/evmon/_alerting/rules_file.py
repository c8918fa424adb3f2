"""The rules file, for Prometheus and for prometheus-operator."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import yaml

from evmon._alerting.dashboards.boards import board_about
from evmon._alerting.promql import DESTINATION, GROUP, INSTANCE, JOB, duration, number
from evmon._alerting.rules.alert import Alert
from evmon._alerting.rules.core import core_alerts
from evmon._alerting.rules.handlers import handler_alerts
from evmon._alerting.rules.losses import loss_alerts
from evmon._alerting.rules.recording import recordings
from evmon._alerting.rules.services import service_alerts
from evmon._alerting.rules.transports import transport_alerts
from evmon._settings.thresholds import Thresholds
from evmon._telemetry.instruments import INSTRUMENTS
from evmon._telemetry.naming import prometheus_label
from evmon.errors import ConfigError

RUNBOOKS: Final = "https://github.com/evmon/evmon/blob/main/docs/runbooks"
GRAFANA: Final = "http://localhost:3000"
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_USED: Final = frozenset(
    (JOB, INSTANCE, "le", "quantile", "alertname", "severity", "alert")
) | {prometheus_label(key) for row in INSTRUMENTS for key in row.attributes}
_BY_JOB: Final = re.compile(r"\(job(?=[,)])")
Format = Literal["prometheus", "operator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOptions:
    """What may differ from one place to another, beside the limits.

    Attributes:
        runbooks: address of the folder of runbooks.
        grafana: address of Grafana.
        labels: that tell services of one job name apart, such as ``namespace``.
        pace: factor of all ``for:`` durations; a drill takes a small one.
    """

    runbooks: str = RUNBOOKS
    grafana: str = GRAFANA
    labels: tuple[str, ...] = ()
    pace: float = 1.0

    def __post_init__(self) -> None:
        for label in self.labels:
            if not _LABEL.fullmatch(label):
                raise ConfigError(f"--label {label!r}: must be the name of a label")
            if label in _USED or label.startswith("__"):
                raise ConfigError(
                    f"--label {label!r}: the rules already use it; name one that tells"
                    " services apart, such as namespace"
                )
            if self.labels.count(label) > 1:
                raise ConfigError(f"--label {label!r}: given twice")

    def apart(self, expr: str) -> str:
        """An expression that takes services apart by these labels too.

        Every expression here names ``job`` first where it groups or matches.
        """
        return _BY_JOB.sub(f"({', '.join((*self.labels, 'job'))}", expr)


DEFAULTS: Final = RuleOptions()


def alerts(limits: Thresholds) -> tuple[Alert, ...]:
    """Every alert, with the limits that it holds."""
    return (
        *service_alerts(),
        *core_alerts(limits),
        *handler_alerts(limits),
        *transport_alerts(limits),
        *loss_alerts(limits),
    )


def rules(
    limits: Thresholds, options: RuleOptions = DEFAULTS, form: Format = "prometheus"
) -> str:
    """The rules file.

    Args:
        limits: what the alerts hold services to.
        options: addresses and pace.
        form: a rules file for Prometheus, or a ``PrometheusRule`` for the operator.

    Example:
        >>> "EvmonMemoryHigh" in rules(Thresholds(memory_warning_mb=256))
        True
    """
    groups: dict[str, Any] = {
        "groups": [
            {
                "name": "evmon.rules",
                "rules": [
                    {"record": rule.name, "expr": options.apart(rule.expr)}
                    for rule in recordings(limits)
                ],
            },
            {
                "name": "evmon.alerts",
                "rules": [_rule(alert, options) for alert in alerts(limits)],
            },
        ]
    }
    if form == "operator":
        groups = {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {
                "name": "evmon",
                "labels": {"app.kubernetes.io/name": "evmon"},
            },
            "spec": groups,
        }
    return HEADER + to_yaml(groups)


HEADER: Final = (
    "# Made by 'evmon rules' from Thresholds; change those, not this file.\n"
)


def annotations(alert: Alert, options: RuleOptions) -> Mapping[str, str]:
    """What people read about an alert."""
    description = alert.tells
    if alert.measure:
        description += (
            f' {alert.measure}: {{{{ $value | printf "%.4g" }}}}{alert.unit};'
            f" the limit is {number(alert.limit)}{alert.unit}."
        )
    return {
        "summary": alert.summary,
        "description": description,
        "runbook_url": f"{options.runbooks}/{alert.name}.md",
        "dashboard_url": _dashboard(alert, options),
    }


_VARIABLES: Final = {
    JOB: "job",
    INSTANCE: "instance",
    DESTINATION: "destination",
    GROUP: "group",
}
"""The dashboards' variable for each label."""


def _dashboard(alert: Alert, options: RuleOptions) -> str:
    """The address of the dashboard that shows the alert's metric, for its labels."""
    chosen = (
        f"var-{_VARIABLES[label]}={{{{ $labels.{label} | urlquery }}}}"
        for label in alert.by
    )
    return f"{options.grafana}/d/{board_about(alert.metric)}?{'&'.join(chosen)}"


def _rule(alert: Alert, options: RuleOptions) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "alert": alert.name,
        "expr": options.apart(alert.condition),
    }
    if alert.hold_seconds:
        rule["for"] = duration(alert.hold_seconds * options.pace)
    rule["labels"] = {"severity": alert.severity}
    rule["annotations"] = dict(annotations(alert, options))
    return rule


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, which people can read."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Write everything out."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(data: Any) -> str:
    """Data as YAML, in the order that it has, long lines left whole."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=10_000)
    return text


def names(limits: Thresholds) -> Iterator[str]:
    """The names of the alerts, each once."""
    yield from dict.fromkeys(alert.name for alert in alerts(limits))
