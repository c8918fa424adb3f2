"""Members of a provider: those that are handlers, and those that are left out."""

import functools
import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

from evmon._handlers.declarations import (
    Declaration,
    declarations_of,
    own_declarations_of,
)


def declared_members(provider: Any) -> Iterator[tuple[str, tuple[Declaration, ...]]]:
    """Names and declarations of the handlers of a provider, each function once."""
    found: set[int] = set()
    for name, value in _static_members(provider):
        declarations = declarations_of(value)
        if declarations and id(value) not in found and _owns(provider, name, value):
            found.add(id(value))
            yield name, declarations


def left_out(provider: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of members that are declared, but no handlers of the provider.

    What a module imports from the module that defines it is not listed.
    """
    own = _own_namespace(provider)
    if not isinstance(provider, types.ModuleType):
        yield from (
            (name, value)
            for name, value in own.items()
            if _is_function_of_module(value) and declarations_of(value)
        )
        return
    found = {id(own[name]) for name, _ in declared_members(provider)}
    for name, value in own.items():
        if id(value) in found or isinstance(value, type):
            continue
        declarations = declarations_of(value) or _hidden_declarations(value)
        homes = {d.module for d in declarations} | {_module_of(value)}
        homes.discard(provider.__name__)
        if declarations and not any(_holds(home, value) for home in homes):
            yield name, value


def _owns(provider: Any, name: str, value: Any) -> bool:
    """Whether a declared member is not just a reference to a handler of another."""
    if isinstance(provider, types.ModuleType):
        return not isinstance(value, (type, types.MethodType)) and (
            _module_of(value) == provider.__name__
            or any(d.module == provider.__name__ for d in own_declarations_of(value))
        )
    if isinstance(value, staticmethod):
        return not _is_function_of_module(value.__func__)
    if name not in _own_namespace(provider):
        return True
    method = _innermost(value)
    if isinstance(method, types.MethodType) and method.__self__ is provider:
        return name == getattr(method, "__name__", name)
    return not isinstance(value, types.MethodType) and not _is_function_of_module(value)


def _is_function_of_module(value: Any) -> bool:
    return inspect.isfunction(value) and _holds(value.__module__, value)


def _holds(module_name: str | None, value: Any) -> bool:
    module = sys.modules.get(module_name or "")
    return module is not None and any(
        held is value for held in list(vars(module).values())
    )


def _module_of(value: Any) -> str | None:
    module = getattr(value, "__module__", None)
    return module if isinstance(module, str) else None


def _innermost(value: Any) -> Any:
    for _ in range(100):  # wrappers may form a cycle
        if isinstance(value, functools.partial):
            value = value.func
        elif inspect.isfunction(value) and hasattr(value, "__wrapped__"):
            value = value.__wrapped__
        else:
            break
    return value


def _hidden_declarations(value: Any) -> tuple[Declaration, ...]:
    """Declarations on the `__call__` of an object, or on what a function wraps."""
    if not inspect.isroutine(value):
        return declarations_of(inspect.getattr_static(type(value), "__call__", None))
    for cell in getattr(value, "__closure__", None) or ():
        try:
            found = declarations_of(cell.cell_contents)
        except ValueError:  # the cell is empty
            continue
        if found:
            return found
    return ()


def _static_members(provider: Any) -> Iterator[tuple[str, Any]]:
    """Names and raw attributes, nearest definition first; triggers no descriptor."""
    seen: set[str] = set()
    namespaces: list[Mapping[str, Any]] = [_own_namespace(provider)]
    cls = provider if isinstance(provider, type) else type(provider)
    namespaces += [vars(base) for base in inspect.getmro(cls)[:-1]]
    for namespace in namespaces:
        for name, value in list(namespace.items()):
            if name not in seen:
                seen.add(name)
                yield name, value


def _own_namespace(provider: Any) -> dict[str, Any]:
    if isinstance(provider, type):
        return {}
    try:
        return dict(object.__getattribute__(provider, "__dict__"))
    except AttributeError:
        return {}
