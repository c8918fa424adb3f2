"""Signatures: how a handler is called, by the annotations of its parameters."""

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_origin

import msgspec

from evmon._events import Delivery, Event
from evmon.errors import DiscoveryError, InvalidEventError

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
    roles = [_role(hint) for hint in _hints(function, name)]
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
    for _, hint in roles:
        _check_convertible(hint, name)
    if "events" in kinds:
        if len(kinds) > 1:
            raise DiscoveryError(
                f"{name}: a handler that takes list[Event] can have no other parameter"
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


def _check_convertible(hint: Any, name: str) -> None:
    """Refuse a type that cannot be decoded from JSON, before an event arrives."""
    if hint is None or _pydantic_validator(hint) is not None:
        return
    try:
        info = msgspec.inspect.type_info(hint)
    except Exception as error:
        raise DiscoveryError(f"{name}: {hint!r} is not a data type: {error}") from error
    for kind in _custom_types(info, set()):
        if _pydantic_validator(kind) is None:
            raise DiscoveryError(
                f"{name}: cannot convert event data to {getattr(kind, '__name__', kind)};"
                " annotate with Event, Delivery, a dataclass, a TypedDict or a pydantic"
                " model"
            )


def _custom_types(info: Any, seen: set[int]) -> Iterator[type]:
    """The types inside a type that msgspec does not support."""
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
    """Whether a function, or the one it wraps, is a coroutine function."""
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
    """The annotation of each positional parameter, None if it has none."""
    if inspect.isbuiltin(function):
        return [None]  # whether it has a signature depends on the Python version
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise DiscoveryError(
            f"{name}: cannot read its signature; wrap it in a function"
        ) from error
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
                    " default; make it positional or give it one"
                )
            continue
        if required or not hints:
            hints.append(annotations.get(parameter.name))
    if not hints:
        raise DiscoveryError(f"{name}: has no parameter for the event")
    return hints


_UNTYPED: Final = (None, Any, object)
"""Annotations that do not restrict the type."""


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


def _pydantic_validator(hint: Any) -> Callable[[Any], Any] | None:
    """The validator of a pydantic model or dataclass, if it is one."""
    validate = getattr(hint, "model_validate", None)
    if validate is None and hasattr(hint, "__pydantic_validator__"):
        validate = hint.__pydantic_validator__.validate_python
    return validate


def _validated(kind: type, data: Any) -> Any:
    """Validate pydantic types nested in a type that msgspec converts."""
    validate = _pydantic_validator(kind)
    assert validate is not None  # noqa: S101 - `_check_convertible` refused it
    return validate(data)


def _converter(hint: Any) -> Callable[[Any], Any]:
    """A validator for data of a type: pydantic's if it has one, else msgspec's."""
    validate = _pydantic_validator(hint) or functools.partial(
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
