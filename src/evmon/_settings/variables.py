"""Environment variables of settings classes: their names and how they are read."""

import dataclasses
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

from evmon._settings.fields import (
    ANY,
    Rule,
    allowed,
    environment_fields,
    holds,
    scalar,
    section_fields,
)
from evmon.errors import ConfigError

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def from_environment(
    settings: T,
    prefix: str,
    environ: Mapping[str, str],
    shown_names: Mapping[str, str] = {},
) -> T:
    """Return `settings` with the fields that ``PREFIX_FIELD`` variables override.

    Args:
        settings: an instance of a settings class.
        prefix: for example ``EVMON_DISCOVERY``.
        environ: usually ``os.environ``.
        shown_names: names of variables to show in errors, if others than theirs.

    Raises:
        ConfigError: names the variable, its value and the allowed values.
    """
    hints = typing.get_type_hints(type(settings))
    changes: dict[str, Any] = {}
    for field in environment_fields(type(settings)):
        name = variable(prefix, field.name)
        if name in environ:
            shown = shown_names.get(name, name)
            changes[field.name] = _read(shown, environ[name], field, hints[field.name])
    for field in section_fields(type(settings)):
        start = variable(prefix, field.name)
        old = getattr(settings, field.name)
        unless_set = field.metadata["unless_set"]
        if old is None and any(variable(start, name) in environ for name in unless_set):
            old = field.metadata["section"]()
        if old is not None:
            changes[field.name] = from_environment(old, start, environ, shown_names)
    if all(getattr(settings, name) is value for name, value in changes.items()):
        return settings
    return _changed(settings, changes)


def _changed(settings: T, changes: Mapping[str, Any]) -> T:
    """A copy with changes; what was derived from other fields is derived again."""
    derived: Collection[str] = getattr(settings, "_derived_fields", tuple)()
    kept = {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(typing.cast("Any", settings))
        if field.name not in derived
    }
    return type(settings)(**{**kept, **changes})


def _read(name: str, text: str, field: "dataclasses.Field[Any]", hint: Any) -> Any:
    """The value of a variable, checked."""
    rule: Rule = field.metadata.get("rule", ANY)
    secret = field.metadata.get("secret", False)
    if not secret:  # in a password, spaces count
        text = text.strip()
    try:
        value = _parse(text, hint)
    except ValueError:
        value = None
    if value is None or not holds(rule, value):
        with_unit = text[:1].isdigit() and text[-1:].isalpha()
        unit = ", without a unit" if with_unit else ""
        shown = name if secret else f"{name}={text!r:.100}"
        raise ConfigError(f"{shown}: must be {allowed(rule, hint)}{unit}")
    return value


def variable(prefix: str, field: str) -> str:
    """Name of the environment variable of a field, or prefix of those of a section."""
    return f"{prefix}_{field.upper()}"


def variables(settings_type: Any, prefix: str) -> Iterator[str]:
    """Names of all environment variables of a settings class and its sections."""
    for field in environment_fields(settings_type):
        yield variable(prefix, field.name)
    for field in section_fields(settings_type):
        start = variable(prefix, field.name)
        yield from variables(field.metadata["section"], start)


def _parse(text: str, hint: Any) -> bool | float | str:
    kind = scalar(hint)
    if kind is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise ValueError(text)
        return text.lower() in _TRUE
    if kind is int:
        return int(text)
    return float(text) if kind is float else text
