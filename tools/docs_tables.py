"""Tables of the documentation: instruments, settings, limits and alerts."""

import dataclasses
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from evmon._alerting.promql import duration, number
from evmon._alerting.rules.alert import Alert
from evmon._alerting.rules_file import alerts
from evmon._settings.fields import Rule, allowed, environment_fields
from evmon._settings.settings import CONFIGS
from evmon._settings.thresholds import Thresholds
from evmon._telemetry.instruments import INSTRUMENTS
from evmon._telemetry.naming import prometheus_label, prometheus_name


def instruments_table() -> str:
    """Return the table of instruments, with their names in OpenTelemetry and Prometheus."""
    rows = [
        (
            f"`{row.name}`",
            f"`{prometheus_name(row)}`",
            row.kind.value,
            f"`{row.unit}`" if row.unit else "",
            ", ".join(f"`{prometheus_label(key)}`" for key in row.attributes),
            row.description,
        )
        for row in INSTRUMENTS
    ]
    head = ("instrument", "on `/metrics`", "kind", "unit", "labels", "what it is")
    return _table(head, rows)


def boundaries_table() -> str:
    """Return the table of bucket boundaries of the histograms."""
    rows = [
        (f"`{prometheus_name(row)}`", ", ".join(number(b) for b in row.boundaries))
        for row in INSTRUMENTS
        if row.boundaries
    ]
    return _table(("histogram", "upper bounds"), rows)


def limits_table(limits: Thresholds) -> str:
    """Return the table of limits and their defaults."""
    rows = [
        (
            f"`{field.name}`",
            number(getattr(limits, field.name)),
            f"`EVMON_THRESHOLDS_{field.name.upper()}`",
            field.metadata["help"],
        )
        for field in dataclasses.fields(limits)
    ]
    return _table(("limit", "default", "environment", "what it is"), rows)


def alerts_table(limits: Thresholds, runbooks: str) -> str:
    """Return the table of alerts, with links to their runbooks.

    Args:
        limits: limits of the alerts.
        runbooks: path from the page to the directory of runbooks.
    """
    rows = [
        (f"[{alert.name}]({runbooks}{alert.name}.md)", *_cells(alert))
        for alert in alerts(limits)
    ]
    return _table(("alert", *_HEAD, "what it tells"), rows)


_HEAD = ("severity", "raised when the value is", "for", "limit in `Thresholds`")


def alert_table(name: str, limits: Thresholds) -> str:
    """Return the table of one alert, a row for each severity."""
    rows = [_cells(alert)[:-1] for alert in alerts(limits) if alert.name == name]
    return _table(_HEAD, rows)


def _cells(alert: Alert) -> tuple[str, ...]:
    return (
        alert.severity,
        f"{alert.op} {number(alert.limit)} {alert.unit}".strip(),
        duration(alert.hold_seconds) if alert.hold_seconds else "at once",
        f"`{alert.setting}`" if alert.setting else "",
        alert.description,
    )


def alert_rule(name: str, limits: Thresholds) -> str:
    """Return the PromQL of an alert, for each severity."""
    return "\n\n".join(
        f"# {alert.severity}\n{alert.condition}"
        for alert in alerts(limits)
        if alert.name == name
    )


def settings_table() -> str:
    """Return a table of settings for each configuration class."""
    parts = (_settings(cls, f"{prefix}_") for cls, prefix in CONFIGS.items())
    return "\n\n".join(parts)


def _settings(cls: type, prefix: str) -> str:
    variables = {field.name for field in environment_fields(cls)}
    rows = list(_fields(cls, prefix, variables))
    head = ("setting", "default", "allowed", "environment", "what it is")
    title = f"### {cls.__name__}\n\n{(cls.__doc__ or '').splitlines()[0]}"
    return f"{title}\n\n{_table(head, rows)}"


def _fields(cls: Any, prefix: str, variables: Iterable[str]) -> Iterator[Sequence[str]]:
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        rule: Rule | None = field.metadata.get("rule")
        default = "" if field.metadata.get("secret") else field.default
        yield (
            f"`{field.name}`",
            f"`{default!r}`",
            allowed(rule, hints[field.name]) if rule else "",
            f"`{prefix}{field.name.upper()}`" if field.name in variables else "",
            field.metadata.get("help", ""),
        )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in escaped)
