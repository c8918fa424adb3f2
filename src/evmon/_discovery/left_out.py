"""Warnings of declared handlers that their module or instance does not bring."""

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

from evmon._discovery.providers import describe
from evmon._handlers.members import left_out

_log = logging.getLogger("evmon.discovery")


def warn_of_left_out(provider: Any, known: Callable[[], list[Any]]) -> None:
    """Log the declared members that are no handlers, unless they are known themselves.

    Args:
        provider: provider that was scanned.
        known: function that returns the other providers, and names of modules.
    """
    members = list(left_out(provider))
    others = known() if members else []
    for name, value in members:
        known_by_module = not isinstance(provider, ModuleType) and any(
            _is_module_of(value, other) for other in others
        )
        if known_by_module or any(_is_provider_of(value, other) for other in others):
            continue
        _log.warning(
            "%s.%s is declared with @event_handler but not registered with it: it is a"
            " partial, wrapper, object, method or function defined elsewhere;"
            " register it by itself",
            describe(provider),
            name,
        )


def _is_provider_of(value: Any, other: Any) -> bool:
    """Whether another provider is the value, its class, or what it is bound to."""
    owner = getattr(value, "__self__", value)
    return other is value or other is owner or other is type(owner)


def _is_module_of(value: Any, other: Any) -> bool:
    """Whether another provider is the module of a function, or its package."""
    name = other.__name__ if isinstance(other, ModuleType) else other
    return type(name) is str and f"{value.__module__}.".startswith(f"{name}.")
