"""Parses ``--set memory_warning=256MB`` into `Thresholds`."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from evmon._alerting.promql import SCRAPE_INTERVAL_SECONDS, duration
from evmon._settings.thresholds import Thresholds
from evmon.errors import ConfigError

_UNITS: Final[Mapping[str, Mapping[str, float]]] = {
    "mb": {
        "b": 1e-6,
        "kb": 1e-3,
        "mb": 1,
        "gb": 1e3,
        "mib": 1.048576,
        "gib": 1073.741824,
    },
    "ms": {"ms": 1, "s": 1e3, "m": 60e3},
    "seconds": {"ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86_400},
    "percent": {"%": 1},
}
"""For each unit at the end of a field's name, the accepted units and their factors."""

_LONGEST_WINDOW: Final = 365 * 86_400.0
_VALUE: Final = re.compile(r"\s*([0-9.]+)\s*([A-Za-z%]*)\s*")


def with_settings(settings: Iterable[str]) -> Thresholds:
    """Return the default limits with some of them changed.

    Args:
        settings: changes of the form ``name=value``. The name may omit its unit
            (``memory_warning`` for ``memory_warning_mb``); the value may have one
            (``2GB``).

    Raises:
        ConfigError: names the wrong setting and what is allowed.

    Example:
        >>> with_settings(["memory_warning=2GB"]).memory_warning_mb
        2000.0
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        name, value = _parse(setting)
        shortest, longest = 2 * SCRAPE_INTERVAL_SECONDS, _LONGEST_WINDOW
        if name == "window_seconds" and not shortest <= value <= longest:
            raise ConfigError(
                f"--set {setting}: must be from {duration(shortest)}, two scrapes,"
                f" to {duration(longest)}"
            )
        changes[name] = value
    return dataclasses.replace(Thresholds(), **changes)


def _parse(setting: str) -> tuple[str, float]:
    name, _, text = setting.partition("=")
    field = _field(name.strip())
    match = _VALUE.fullmatch(text)
    factors = _UNITS.get(_unit(field.name), {})
    try:
        if match is None:
            raise ValueError(text)
        value = float(match[1]) * (factors[match[2].lower()] if match[2] else 1)
    except (ValueError, KeyError):
        units = f", with or without {', '.join(factors)}" if factors else ""
        raise ConfigError(f"--set {setting}: must be a number{units}") from None
    if not isinstance(field.default, int):
        return field.name, value
    if value != int(value):
        raise ConfigError(f"--set {setting}: must be a whole number")
    return field.name, int(value)


def _field(name: str) -> "dataclasses.Field[object]":
    fields = dataclasses.fields(Thresholds)
    for field in fields:
        unit = _unit(field.name)
        short = field.name.removesuffix(f"_{unit}") if unit in _UNITS else field.name
        if name in (field.name, short):
            return field
    names = ", ".join(field.name for field in fields)
    raise ConfigError(f"--set {name}: must be one of {names}")


def _unit(field_name: str) -> str:
    return field_name.rpartition("_")[2]
