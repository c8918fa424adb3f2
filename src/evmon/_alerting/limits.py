"""``--set memory_warning=256MB``: limits as people write them."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from evmon._alerting.promql import duration
from evmon._alerting.rules.alert import STEP
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
_LONGEST_WINDOW: Final = 365 * 86_400.0
_VALUE: Final = re.compile(r"\s*([0-9.]+)\s*([A-Za-z%]*)\s*")


def with_settings(settings: Iterable[str]) -> Thresholds:
    """The limits, changed by settings of the form ``name=value``.

    The name may leave its unit out, and the value may say one.

    Raises:
        ConfigError: says which setting is wrong and what it may be.

    Example:
        >>> with_settings(["memory_warning=2GB"]).memory_warning_mb
        2000.0
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        name, value = _parse(setting)
        shortest, longest = 2 * STEP, _LONGEST_WINDOW
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
    unit = field.name.rpartition("_")[2]
    known = _UNITS.get(unit, {})
    try:
        if match is None:
            raise ValueError(text)
        value = float(match[1]) * (known[match[2].lower()] if match[2] else 1)
    except (ValueError, KeyError):
        units = f", with or without {', '.join(known)}" if known else ""
        raise ConfigError(f"--set {setting}: must be a number{units}") from None
    if not isinstance(field.default, int):
        return field.name, value
    if value != int(value):
        raise ConfigError(f"--set {setting}: must be a whole number")
    return field.name, int(value)


def _field(name: str) -> "dataclasses.Field[object]":
    fields = dataclasses.fields(Thresholds)
    for field in fields:
        unit = field.name.rpartition("_")[2]
        short = field.name.removesuffix(f"_{unit}") if unit in _UNITS else field.name
        if name in (field.name, short):
            return field
    names = ", ".join(field.name for field in fields)
    raise ConfigError(f"--set {name}: must be one of {names}")
