"""Signatures: how a handler is called, by the annotations of its parameters."""

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_origin

import msgspec

from evmon._events import Delivery, Event
from evmon._handlers.annotations import parameter_hints
from evmon._handlers.conversion import Convert, converter
from evmon.errors import DiscoveryError

CallOne: TypeAlias = Callable[["Event[Any]", Delivery], Any]
CallMany: TypeAlias = Callable[[Sequence["Event[Any]"]], Any]


def calls_of(
    function: Callable[..., Any], name: str
) -> tuple[CallOne, CallMany | None]:
    """Determine how to call a function with an event.

    Args:
        function: handler function.
        name: name of the handler in error messages.

    Returns:
        The call with one event, and the call with many events, or None.

    Raises:
        DiscoveryError: a parameter cannot be filled from an event.
    """
    if _is_generator(function):
        raise DiscoveryError(
            f"{name}: is a generator; use a function or coroutine function"
        )
    roles = [_role(hint) for hint in parameter_hints(function, name)]
    kinds = [role for role, _ in roles]
    if kinds.count("data") > 1:
        raise DiscoveryError(
            f"{name}: only one parameter may take the data; combine them in a dataclass"
        )
    if kinds.count("event") > 1:
        raise DiscoveryError(
            f"{name}: only one parameter may take the event; annotate the others with"
            " a data type or Delivery"
        )
    converters = [
        (role, None if hint is None else converter(hint, name)) for role, hint in roles
    ]
    if "events" in kinds:
        if len(kinds) > 1:
            raise DiscoveryError(
                f"{name}: a handler that takes list[Event] can have no other parameter"
            )
        return _caller_of_many(function, converters[0][1])
    if kinds == ["event"] and converters[0][1] is None:
        return (lambda event, _: function(event)), None
    return _caller(function, converters), None


def _is_generator(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):
        function = getattr(function, "__call__", function)  # noqa: B004 - the method
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def is_async(function: Any) -> bool:
    """Whether calling a function gives a coroutine, whatever it wraps.

    A plain wrapper of a coroutine function is not async: it may block before it returns
    the coroutine, so it runs in a thread, and what it returns is awaited.
    """
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):
        function = getattr(function, "__call__", function)  # noqa: B004 - the method
    return inspect.iscoroutinefunction(function)


_Role = Literal["event", "events", "delivery", "data"]


def _caller(
    function: Callable[..., Any], converters: Sequence[tuple[_Role, Convert | None]]
) -> CallOne:
    def call(event: "Event[Any]", delivery: Delivery) -> Any:
        arguments: list[Any] = []
        for role, convert in converters:
            if role == "delivery":
                arguments.append(delivery)
                continue
            data = event.data if convert is None else convert(event.data)
            if role == "data":
                arguments.append(data)
            elif convert is None:
                arguments.append(event)
            else:
                arguments.append(msgspec.structs.replace(event, data=data))
        return function(*arguments)

    return call


def _caller_of_many(
    function: Callable[..., Any], convert: Convert | None
) -> tuple[CallOne, CallMany]:
    if convert is None:
        return (lambda event, _: function([event])), (lambda evs: function(list(evs)))

    def typed(event: "Event[Any]") -> "Event[Any]":
        return msgspec.structs.replace(event, data=convert(event.data))

    return (
        lambda event, _: function([typed(event)]),
        lambda events: function([typed(event) for event in events]),
    )


_UNTYPED: Final = (None, Any, object)
"""Annotations that name no type."""


def _role(hint: Any) -> tuple[_Role, Any]:
    """The role of a parameter, and the type of its data, if any."""
    if hint in _UNTYPED or hint is Event:
        return "event", None
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        # `Event | None` means Event, because there always is one.
        parts = [part for part in typing.get_args(hint) if part is not types.NoneType]
        if len(parts) == 1 and _role(parts[0])[0] != "data":
            return _role(parts[0])
    if origin is Event:
        (data_type,) = typing.get_args(hint)
        untyped = data_type in _UNTYPED or isinstance(data_type, TypeVar)
        return "event", None if untyped else data_type
    if origin in (list, collections.abc.Sequence):
        (item,) = typing.get_args(hint)
        if item is Event or get_origin(item) is Event:
            return "events", _role(item)[1]
    if hint is Delivery:
        return "delivery", None
    return "data", hint
