"""Annotations: what each parameter of a handler asks for, resolved one by one."""

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin

from evmon.errors import DiscoveryError


def parameter_hints(function: Callable[..., Any], name: str) -> list[Any]:
    """The annotation of each parameter that an event fills; None if it has none.

    Only those annotations are resolved, so a name that exists for type checkers alone
    does no harm elsewhere, for example as the return type.

    Args:
        function: the handler.
        name: name of the handler, for messages.

    Raises:
        DiscoveryError: the signature cannot be read, an annotation cannot be resolved,
            or no parameter can take the event.
    """
    if inspect.isbuiltin(function):
        return [None]  # which builtins have a signature depends on the Python version
    try:
        signature = _signature(function)
    except (TypeError, ValueError) as error:
        raise DiscoveryError(
            f"{name}: cannot read its signature; wrap it in a function"
        ) from error
    target = innermost(function)
    type_arguments = _type_arguments_of(function, target)
    hints: list[Any] = []
    for parameter in _filled(signature, name):
        hint = _resolved(parameter, target, name)
        hints.append(_substituted(hint, type_arguments))
    if not hints:
        raise DiscoveryError(f"{name}: has no parameter for the event")
    return hints


def innermost(function: Any) -> Any:
    """The function below wrappers, partials and callable objects."""
    target = inspect.unwrap(function)
    while isinstance(target, functools.partial):
        target = inspect.unwrap(target.func)
    return target if inspect.isroutine(target) else type(target).__call__


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    if sys.version_info >= (3, 14):  # annotations are evaluated lazily: not all here
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.FORWARDREF)
    return inspect.signature(function)


def _filled(signature: inspect.Signature, name: str) -> list[inspect.Parameter]:
    """The parameters that are given a value when the handler is called."""
    filled: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        required = parameter.default is parameter.empty
        if parameter.kind is parameter.KEYWORD_ONLY:
            if required:
                raise DiscoveryError(
                    f"{name}: parameter {parameter.name!r} is keyword-only and has no"
                    " default; make it positional or give it one"
                )
        elif parameter.kind is parameter.VAR_POSITIONAL:
            if not filled:
                filled.append(parameter.replace(annotation=parameter.empty))
        elif parameter.kind is not parameter.VAR_KEYWORD and (required or not filled):
            filled.append(parameter)
    return filled


def _resolved(parameter: inspect.Parameter, target: Any, name: str) -> Any:
    hint = parameter.annotation
    if hint is parameter.empty:
        return None
    namespace = types.SimpleNamespace(__annotations__={parameter.name: hint})
    function = getattr(target, "__func__", target)
    parameters = getattr(function, "__type_params__", ())
    try:
        resolved = typing.get_type_hints(
            namespace,
            globalns=getattr(function, "__globals__", {}),
            localns={kind.__name__: kind for kind in parameters},
            include_extras=True,
        )[parameter.name]
    except Exception as error:
        raise DiscoveryError(
            f"{name}: cannot resolve the annotation of {parameter.name!r}: {error}"
        ) from error
    # Resolving turns None into its type, which is not what an annotation None means.
    return None if resolved is types.NoneType else resolved


def _type_arguments_of(function: Any, target: Any) -> Mapping[Any, Any]:
    """What the type variables of the class that defines a method stand for."""
    while isinstance(function, functools.partial):
        function = function.func
    owner_of = getattr(function, "__self__", None)
    if owner_of is None and not inspect.isroutine(function):
        owner_of = function
    if owner_of is None:
        return {}
    kind = owner_of if isinstance(owner_of, type) else type(owner_of)
    plain = getattr(target, "__func__", target)
    owner = next((c for c in kind.__mro__ if plain in _functions(c)), None)
    if owner is None:
        return {}
    # An instance of `Base[Order]` itself, without a subclass.
    alias = getattr(owner_of, "__orig_class__", None)
    own = dict(zip(getattr(kind, "__parameters__", ()), get_args(alias), strict=False))
    if owner is kind:
        return own
    inherited = _type_arguments(kind, owner)
    return {var: _substituted(hint, own) for var, hint in inherited.items()}


def _functions(kind: type) -> list[Any]:
    """The functions that a class defines, below wrappers."""
    members = (getattr(m, "__func__", m) for m in list(vars(kind).values()))
    return [innermost(member) for member in members if inspect.isroutine(member)]


def _type_arguments(kind: type, owner: type) -> dict[Any, Any]:
    """What the type variables of a generic base class stand for in a class."""
    for base in vars(kind).get("__orig_bases__", kind.__bases__):
        origin: Any = get_origin(base) or base
        if not (isinstance(origin, type) and issubclass(origin, owner)):
            continue
        parameters = getattr(origin, "__parameters__", ())
        given = dict(zip(parameters, get_args(base), strict=False))
        if origin is owner:
            return given
        inherited = _type_arguments(origin, owner)
        return {var: _substituted(hint, given) for var, hint in inherited.items()}
    return {}


def _substituted(hint: Any, arguments: Mapping[Any, Any]) -> Any:
    """A hint with type variables replaced by what they stand for."""
    if isinstance(hint, TypeVar):
        return arguments.get(hint, hint)
    variables = getattr(hint, "__parameters__", ())
    if isinstance(hint, type) or not any(var in arguments for var in variables):
        return hint
    return hint[tuple(arguments.get(var, var) for var in variables)]
