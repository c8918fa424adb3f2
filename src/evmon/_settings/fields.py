"""Settings: dataclass fields with a rule for valid values and a help text.

A settings class is a frozen dataclass with fields made by `setting`, or by `section` for
another settings class, and the decorator `documented`. `validate` rejects invalid values
at construction, in one line that names the setting, its value and the allowed values.
"""

import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin

from evmon.errors import ConfigError

T = TypeVar("T")
C = TypeVar("C", bound=type)


@dataclass(frozen=True, slots=True)
class Rule:
    """The values that a setting allows: a predicate, and its description."""

    holds: Callable[[Any], bool]
    allowed: str


def at_least(minimum: float) -> Rule:
    """A finite number, `minimum` or more."""
    return Rule(lambda v: v >= minimum, f"a number, {minimum:g} or more")


def above(limit: float) -> Rule:
    """A finite number greater than `limit`."""
    return Rule(lambda v: v > limit, f"a number above {limit:g}")


def between(low: float, high: float) -> Rule:
    """A number from `low` to `high`, both included."""
    return Rule(lambda v: low <= v <= high, f"a number from {low:g} to {high:g}")


def one_of(*choices: str) -> Rule:
    """One of the given strings."""
    return Rule(lambda v: v in choices, " or ".join(repr(c) for c in choices))


_WORDS: Mapping[type | None, str] = {bool: "true or false", str: "a string"}

ANY = Rule(lambda _: True, "a value of its type")
NOT_EMPTY = Rule(lambda v: len(v) > 0, "a non-empty string")


def setting(
    default: T,
    rule: Rule,
    help: str,  # noqa: A002 - the usual name
    *,
    secret: bool = False,
) -> T:
    """Declare a field.

    Args:
        default: default value.
        rule: rule for the allowed values.
        help: one sentence for ``help()`` and ``docs/configuration.md``.
        secret: whether to omit the value from the object's repr.
    """
    metadata = {"rule": rule, "help": help, "secret": secret}
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


def section(kind: type[T]) -> T:
    """Declare a field that holds another settings class, by default with its defaults."""
    return typing.cast("T", _section(kind, kind(), ()))


def optional_section(kind: type[T], unless_set: tuple[str, ...]) -> T | None:
    """Declare a field that holds another settings class, by default None.

    Args:
        kind: the settings class.
        unless_set: names of its settings; if the variable of one is set, None becomes an
            instance.
    """
    return typing.cast("T | None", _section(kind, None, unless_set))


def _section(kind: type[T], default: Any, unless_set: tuple[str, ...]) -> Any:
    rule = Rule(lambda v: isinstance(v, kind), f"a {kind.__name__}(...)")
    metadata = {"rule": rule, "section": kind, "unless_set": unless_set}
    return dataclasses.field(default=default, metadata=metadata)


def documented(cls: C) -> C:
    """Append the settings of a class to its docstring; decorates the dataclass."""
    lines = [inspect.cleandoc(cls.__doc__ or ""), "", "Attributes:"]
    for field in dataclasses.fields(cls):
        secret = field.metadata.get("secret", False)
        default = "" if secret else f" Default: ``{_shown(field.default)}``."
        lines.append(f"    {field.name}: {field.metadata['help']}{default}")
    cls.__doc__ = "\n".join(lines)
    return cls


def validate(settings: Any, name: str = "") -> None:
    """Check every field of a settings object; call it from ``__post_init__``.

    Args:
        settings: instance of a settings class.
        name: name of the object in messages; by default that of its class.

    Raises:
        ConfigError: a value is not allowed; names the first such setting.
    """
    hints = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        rule: Rule = field.metadata.get("rule", ANY)
        if not _is_of(value, hints[field.name]) or not holds(rule, value):
            label = f"{name or type(settings).__name__}.{field.name}"
            words = allowed(rule, hints[field.name])
            shown = "" if field.metadata.get("secret") else f"={value!r:.100}"
            raise ConfigError(f"{label}{shown}: must be {words}")


def refuse_url(name: str, value: str, instead: str) -> None:
    """Refuse a URL where a name belongs, without showing the password in it.

    Raises:
        ConfigError: the value has a scheme.
    """
    scheme, separator, _ = value.partition("://")
    if separator:
        raise ConfigError(f"{name}='{scheme}://…' is a URL, not a name; {instead}")


def section_fields(settings_type: Any) -> Iterable["dataclasses.Field[Any]"]:
    """The fields that hold another settings class, the metadata's ``section``."""
    return [f for f in dataclasses.fields(settings_type) if "section" in f.metadata]


def environment_fields(settings_type: Any) -> Iterable["dataclasses.Field[Any]"]:
    """The fields of a settings class that an environment variable can set."""
    hints = typing.get_type_hints(settings_type)
    return [
        field
        for field in dataclasses.fields(settings_type)
        if scalar(hints[field.name]) is not None
    ]


def allowed(rule: Rule, hint: Any) -> str:
    """The allowed values of a setting of this type, in words."""
    if rule is ANY:
        return _WORDS.get(scalar(hint), rule.allowed)
    if scalar(hint) is int:
        return rule.allowed.replace("a number", "a whole number", 1)
    return rule.allowed


def _shown(default: Any) -> str:
    """A default value as a user would write it."""
    if isinstance(default, tuple):
        return f"({', '.join(map(_shown, default))}{',' if len(default) == 1 else ''})"
    return default.__name__ if isinstance(default, type) else repr(default)


def scalar(hint: Any) -> type | None:
    """The plain type behind a hint (`float | None` is float), or None."""
    if get_origin(hint) is typing.Literal:
        return str
    if isinstance(hint, types.UnionType):
        hint = next(h for h in get_args(hint) if h is not types.NoneType)
    return hint if hint in (bool, int, float, str) else None


def _is_of(value: Any, hint: Any) -> bool:
    if value is None and (
        isinstance(hint, types.UnionType) or dataclasses.is_dataclass(hint)
    ):
        return types.NoneType in get_args(hint)
    kind = scalar(hint)
    if kind is None:
        return True
    if kind is float:
        kind_ok = isinstance(value, (int, float)) and math.isfinite(value)
        return kind_ok and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def holds(rule: Rule, value: Any) -> bool:
    """Whether a rule allows a value of the right type."""
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return value is None or rule.holds(value)
