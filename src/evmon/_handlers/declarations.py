"""Declarations: what `@event_handler` leaves on a function."""

import functools
import inspect
import types
from dataclasses import dataclass
from typing import Any, Final

from evmon._settings.retry_policy import RetryPolicy

_DECLARATIONS: Final = "__evmon_handles__"


@dataclass(frozen=True, slots=True)
class Declaration:
    """The arguments of an `@event_handler`.

    Attributes:
        pattern: pattern of the event types that the handler takes.
        retry: retry policy; None means that of the bus.
        module: name of the module that calls `event_handler`.
    """

    pattern: str
    retry: RetryPolicy | None
    module: str


def declare_on(function: Any, declaration: Declaration) -> None:
    """Put a declaration before the earlier ones on a function."""
    earlier: tuple[Declaration, ...] = getattr(function, _DECLARATIONS, ())
    setattr(function, _DECLARATIONS, (declaration, *earlier))


def own_declarations_of(value: Any) -> tuple[Declaration, ...]:
    """The declarations on a value itself, not below a wrapper."""
    found = inspect.getattr_static(value, _DECLARATIONS, ())
    return found if isinstance(found, tuple) else ()


def declarations_of(value: Any) -> tuple[Declaration, ...]:
    """The `@event_handler` declarations on a raw attribute, if any."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    seen = 0
    while callable(value) and seen < 100:  # wrappers may form a cycle
        found = own_declarations_of(value)
        if found:
            return found
        if isinstance(value, functools.partial):
            value = value.func
        elif isinstance(value, types.MethodType):
            value = value.__func__
        else:
            value = inspect.getattr_static(value, "__wrapped__", None)
        seen += 1
    return ()
