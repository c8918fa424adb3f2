"""Names of handlers, by which scheduled retries and dead letters find them."""

import functools
import inspect
import sys
import types
from typing import Any, Final

_UNNAMED_OWNERS: Final = (types.NoneType, types.ModuleType)
"""Types of `__self__` of functions that are not bound to anything."""


def name_of(function: Any) -> str:
    """The name of a handler that was registered by itself.

    A method is named after the class that it is bound to, not the one that defines it.
    """
    function = _without_partials(function)
    owner = getattr(function, "__self__", None)
    if isinstance(owner, _UNNAMED_OWNERS) or not inspect.isroutine(function):
        module, qualified = _definition_of(function)
        return _join(module and module_name(module), qualified)
    name: str = getattr(function, "__name__", type(owner).__name__)
    return name_on(owner, name)


def name_on(provider: Any, attribute: str) -> str:
    """The name of a handler that was found as an attribute of a provider.

    Args:
        provider: module, class or instance that has the attribute.
        attribute: name of the attribute.
    """
    if isinstance(provider, types.ModuleType):
        return _join(module_name(provider.__name__), attribute)
    kind = provider if isinstance(provider, type) else type(provider)
    return _join(module_name(kind.__module__), f"{kind.__qualname__}.{attribute}")


def former_name_of(function: Any) -> str:
    """The name that versions before 0.1.0 gave a handler: that of its definition."""
    module, name = _definition_of(function)
    return _join(module, name)


def module_name(name: str) -> str:
    """The name under which other processes import a module.

    ``python -m shop.app`` runs ``shop.app`` as ``__main__``, and processes that
    `multiprocessing` spawns run it as ``__mp_main__``. A script has no other name than
    ``__main__``.
    """
    if name not in ("__main__", "__mp_main__"):
        return name
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return "__main__" if spec is None else spec.name


def _definition_of(function: Any) -> tuple[str | None, str]:
    function = _without_partials(function)
    named = function if hasattr(function, "__qualname__") else type(function)
    return getattr(named, "__module__", None), named.__qualname__


def _without_partials(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _join(module: str | None, name: str) -> str:
    name = name.replace("<locals>.", "")
    return f"{module}.{name}" if module else name
