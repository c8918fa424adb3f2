"""Signatures: what a function asks for by its annotations, and how it is given that."""

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_origin

import msgspec

from evmon._events import Event
from evmon.errors import DiscoveryError, InvalidEventError


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an event came to a handler; ask for it by annotation.

    Attributes:
        attempt: calls of this handler with this event so far, this one included.
        redelivered: whether a consumer had this event before and did not settle it.
    """

    attempt: int = 1
    redelivered: bool = False


FIRST_DELIVERY: Final = Delivery()

CallOne: TypeAlias = Callable[["Event[Any]", Delivery], Any]
CallMany: TypeAlias = Callable[[Sequence["Event[Any]"]], Any]


def calls_of(
    function: Callable[..., Any], name: str
) -> tuple[CallOne, CallMany | None]:
    """How the function is called: computed once, so that a call is only a call.

    Returns:
        How it is called with an event; and how with many, if it takes many.

    Raises:
        DiscoveryError: it asks for something that no event can give.
    """
    if _is_generator(function):
        raise DiscoveryError(f"{name}: is a generator, whose body would never run")
    roles = [_role(hint) for hint in _hints(function, name)]
    kinds = [role for role, _ in roles]
    if kinds.count("data") > 1:
        raise DiscoveryError(
            f"{name}: several parameters ask for the data of an event; one takes all"
            " of it, as a dataclass for instance"
        )
    if kinds.count("event") > 1:
        raise DiscoveryError(
            f"{name}: several parameters take the event; annotate those that are to"
            " take its data or its Delivery"
        )
    for _, hint in roles:
        _check_makeable(hint, name)
    if "events" in kinds:
        if len(kinds) > 1:
            raise DiscoveryError(
                f"{name}: a handler of many events takes them and nothing else"
            )
        return _caller_of_many(function, roles[0][1])
    if kinds == ["event"] and roles[0][1] is None:
        return (lambda event, _: function(event)), None
    return _caller(function, roles), None


def _is_generator(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):
        function = getattr(function, "__call__", function)  # noqa: B004 - the method
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _check_makeable(hint: Any, name: str) -> None:
    """Refuse a type of which nothing can be made of JSON, before an event comes."""
    if hint is None or _own_validation(hint) is not None:
        return
    try:
        info = msgspec.inspect.type_info(hint)
    except Exception as error:
        raise DiscoveryError(f"{name}: {hint!r} is no type of data: {error}") from error
    for kind in _custom_types(info, set()):
        if _own_validation(kind) is None:
            raise DiscoveryError(
                f"{name}: no {getattr(kind, '__name__', kind)} can be made of the data"
                " of an event; use Event, Delivery, a dataclass, a TypedDict or a"
                " pydantic model"
            )


def _custom_types(info: Any, seen: set[int]) -> Iterator[type]:
    """The types inside a type that msgspec knows nothing of."""
    if id(info) in seen:
        return
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.CustomType):
        yield info.cls
    elif isinstance(info, tuple):
        for part in info:
            yield from _custom_types(part, seen)
    elif isinstance(info, (msgspec.inspect.Type, msgspec.inspect.Field)):
        for part in info.__struct_fields__:
            yield from _custom_types(getattr(info, part), seen)


def is_async(function: Callable[..., Any]) -> bool:
    inner: Any = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inner.func
    if not inspect.isroutine(inner):
        inner = getattr(inner, "__call__", inner)  # noqa: B004 - the method itself
    outer: Any = function.func if isinstance(function, functools.partial) else function
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(outer)


_Role = Literal["event", "events", "delivery", "data"]


def _caller(
    function: Callable[..., Any], roles: Sequence[tuple[_Role, Any]]
) -> CallOne:
    converters = [
        (role, None if hint is None else _converter(hint)) for role, hint in roles
    ]

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
    function: Callable[..., Any], hint: Any
) -> tuple[CallOne, CallMany]:
    if hint is None:
        return (lambda event, _: function([event])), (lambda evs: function(list(evs)))
    convert = _converter(hint)

    def typed(event: "Event[Any]") -> "Event[Any]":
        return msgspec.structs.replace(event, data=convert(event.data))

    return (
        lambda event, _: function([typed(event)]),
        lambda events: function([typed(event) for event in events]),
    )


def _hints(function: Callable[..., Any], name: str) -> list[Any]:
    """The annotation of each positional parameter, None where there is none."""
    if inspect.isbuiltin(function):
        return [None]  # those that have a signature differ from one Python to another
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise DiscoveryError(f"{name}: its signature cannot be read") from error
    target: Any = inspect.unwrap(function)
    while isinstance(target, functools.partial):
        target = target.func
    if not inspect.isroutine(target):
        target = type(target).__call__
    try:
        annotations = typing.get_type_hints(target)
    except Exception as error:
        raise DiscoveryError(
            f"{name}: cannot resolve its annotations: {error}"
        ) from error
    hints: list[Any] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            if not hints:
                hints.append(None)
            continue
        required = parameter.default is parameter.empty
        if parameter.kind is parameter.KEYWORD_ONLY:
            if required:
                raise DiscoveryError(
                    f"{name}: parameter {parameter.name!r} is keyword-only and has no"
                    " default; an event can only give positional ones"
                )
            continue
        if required or not hints:
            hints.append(annotations.get(parameter.name))
    if not hints:
        raise DiscoveryError(f"{name}: takes no parameter, so it cannot take an event")
    return hints


_OPEN: Final = (None, Any, object)
"""What says nothing about a type."""


def _role(hint: Any) -> tuple[_Role, Any]:
    """What a parameter wants, and the type that the data must be of, if any."""
    if hint in _OPEN or hint is Event:
        return "event", None
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        # An event is never missing: `Event | None` is an event.
        parts = [part for part in typing.get_args(hint) if part is not types.NoneType]
        if len(parts) == 1 and _role(parts[0])[0] != "data":
            return _role(parts[0])
    if origin is Event:
        (data_type,) = typing.get_args(hint)
        open_type = data_type in _OPEN or isinstance(data_type, TypeVar)
        return "event", None if open_type else data_type
    if origin in (list, collections.abc.Sequence):
        (item,) = typing.get_args(hint)
        if item is Event or get_origin(item) is Event:
            return "events", _role(item)[1]
    if hint is Delivery:
        return "delivery", None
    return "data", hint


def _own_validation(hint: Any) -> Callable[[Any], Any] | None:
    """The validation of a pydantic model or dataclass."""
    validate = getattr(hint, "model_validate", None)
    if validate is None and hasattr(hint, "__pydantic_validator__"):
        validate = hint.__pydantic_validator__.validate_python
    return validate


def _validated(kind: type, data: Any) -> Any:
    """What pydantic makes of data inside of a type that msgspec takes apart."""
    validate = _own_validation(kind)
    assert validate is not None  # noqa: S101 - `_check_makeable` refused it
    return validate(data)


def _converter(hint: Any) -> Callable[[Any], Any]:
    """How data is validated as a type: by its own pydantic, else by msgspec."""
    validate = _own_validation(hint) or functools.partial(
        msgspec.convert, type=hint, dec_hook=_validated, str_keys=True
    )

    def convert(data: Any) -> Any:
        try:
            return validate(data)
        except (ValueError, TypeError) as error:
            kind = getattr(hint, "__name__", str(hint))
            reason = " ".join(str(error).split())
            raise InvalidEventError(
                "invalid_data", f"data is not a {kind}: {reason:.500}"
            ) from error

    return convert
