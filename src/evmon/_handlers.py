"""Handlers: how they are declared, found on a provider, and called."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar, get_origin

import msgspec

from evmon._events import Event
from evmon._retry import RetryPolicy
from evmon.errors import ConfigError, DiscoveryError, InvalidEventError

F = TypeVar("F", bound=Callable[..., Any])

_DECLARATIONS: Final = "__evmon_handles__"


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


@dataclass(frozen=True, slots=True)
class Declaration:
    """What `@event_handler` said about a function."""

    pattern: str
    retry: RetryPolicy | None


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """A declared handler as found on a provider, not bound to it.

    Attributes:
        attribute: its name on the provider; None when the provider is the handler.
    """

    attribute: str | None
    declaration: Declaration


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler that can be called.

    Attributes:
        name: qualified name of the function, as it stands in metrics and logs.
        pattern: of the event types that it handles.
        retry: its policy; None means the bus' own.
        call: takes the event and how it was delivered. It awaits nothing itself:
            a coroutine function's call returns the coroutine.
        is_async: whether `call` returns something to await; otherwise it blocks and
            belongs in a thread.
    """

    name: str
    pattern: str
    retry: RetryPolicy | None
    call: Callable[["Event[Any]", Delivery], Any] = field(compare=False, repr=False)
    is_async: bool = True


def event_handler(
    pattern: str, *, retry: RetryPolicy | None = None
) -> Callable[[F], F]:
    """Declare a function or method as a handler of events.

    The function itself is returned unchanged. Its parameters say what it wants: one
    that is annotated `Event`, `Event[T]`, or not at all takes the event, one annotated
    `Delivery` takes how it was delivered, and any other annotation takes the event's
    data, validated as that type (a pydantic model, a dataclass, a TypedDict …). Data
    that does not fit is a permanent failure.

    Args:
        pattern: an event type, or a pattern: ``order.*`` is one further word,
            ``order.**`` any number of them.
        retry: policy for this handler instead of the bus' own.

    Raises:
        ConfigError: the pattern is not one.

    Example:
        >>> @event_handler("order.created", retry=RetryPolicy(max_retries=5))
        ... async def created(event: Event) -> None: ...
    """
    check_pattern(pattern)
    declaration = Declaration(pattern, retry)

    def declare(function: F) -> F:
        target: Any = function
        if isinstance(function, (staticmethod, classmethod)):
            target = function.__func__
        if not callable(target):
            raise ConfigError(f"@event_handler({pattern!r}) is for functions")
        earlier: tuple[Declaration, ...] = getattr(target, _DECLARATIONS, ())
        setattr(target, _DECLARATIONS, (declaration, *earlier))
        return function

    return declare


def check_pattern(pattern: str) -> str:
    """Return `pattern` if it is one.

    Raises:
        ConfigError: says what a pattern looks like.
    """
    words = pattern.split(".") if isinstance(pattern, str) else [""]
    plain = [word for word in words if word != "*"]
    if plain and plain[-1] == "**" and words[-1] == "**":
        plain.pop()
    if not all(words) or any(
        "*" in word or not word.isprintable() or " " in word for word in plain
    ):
        raise ConfigError(
            f"pattern {pattern!r}: must be words joined by dots, where '*' stands for"
            " one word and '**', at the end only, for one or more"
        )
    return pattern


def scan(provider: Any) -> tuple[HandlerSpec, ...]:
    """Look at a provider and return the handlers declared on it.

    Methods of its class and of the classes that it inherits from, static and class
    methods, functions of a module, what an instance carries itself, and declarations
    below `functools.wraps` are found. Properties and other descriptors are never
    triggered, and the result holds no reference to the provider.
    """
    if inspect.isroutine(provider) or isinstance(provider, functools.partial):
        return tuple(HandlerSpec(None, d) for d in declarations_of(provider))
    return tuple(
        HandlerSpec(name, declaration)
        for name, value in _static_members(provider)
        for declaration in declarations_of(value)
    )


def bind(provider: Any, spec: HandlerSpec) -> Handler:
    """Make a handler that calls the provider.

    Raises:
        DiscoveryError: its signature asks for something that no event can give.
    """
    function = provider if spec.attribute is None else getattr(provider, spec.attribute)
    return handler_of(function, spec.declaration.pattern, spec.declaration.retry)


def handler_of(
    function: Callable[..., Any], pattern: str, retry: RetryPolicy | None = None
) -> Handler:
    """Make a handler of any callable.

    Raises:
        ConfigError: the pattern is not one.
        DiscoveryError: its signature asks for something that no event can give.
    """
    check_pattern(pattern)
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return Handler(
        name=name.replace("<locals>.", ""),
        pattern=pattern,
        retry=retry,
        call=_caller(function, name),
        is_async=_is_async(function),
    )


def declarations_of(value: Any) -> tuple[Declaration, ...]:
    """What `@event_handler` said about a raw attribute; empty for anything else."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    seen = 0
    while callable(value) and seen < 100:  # a chain of wrappers may loop
        found = inspect.getattr_static(value, _DECLARATIONS, ())
        if isinstance(found, tuple) and found:
            return found
        value = inspect.getattr_static(value, "__wrapped__", None)
        seen += 1
    return ()


def _static_members(provider: Any) -> Iterator[tuple[str, Any]]:
    """Names and raw attributes, nearest definition first, nothing triggered."""
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
        own = object.__getattribute__(provider, "__dict__")
    except AttributeError:
        return {}
    if not isinstance(provider, types.ModuleType):
        return dict(own)
    # What a module imported from elsewhere is found where it was defined.
    return {
        name: value
        for name, value in own.items()
        if getattr(value, "__module__", None) == provider.__name__
        and not isinstance(value, type)
    }


def _is_async(function: Callable[..., Any]) -> bool:
    inner: Any = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inner.func
    if not inspect.isroutine(inner):
        inner = getattr(inner, "__call__", inner)  # noqa: B004 - the method itself
    outer: Any = function.func if isinstance(function, functools.partial) else function
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(outer)


_Role = Literal["event", "delivery", "data"]


def _caller(
    function: Callable[..., Any], name: str
) -> Callable[["Event[Any]", Delivery], Any]:
    """How the function is called: computed once, so that a call is only a call."""
    roles = [_role(hint) for hint in _hints(function, name)]
    kinds = [role for role, _ in roles]
    if kinds == ["event"] and roles[0][1] is None:
        return lambda event, _: function(event)
    converters = [_converter(hint) if hint is not None else None for _, hint in roles]

    def call(event: "Event[Any]", delivery: Delivery) -> Any:
        arguments: list[Any] = []
        for role, convert in zip(kinds, converters, strict=True):
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


def _role(hint: Any) -> tuple[_Role, Any]:
    """What a parameter wants, and the type that the data must be of, if any."""
    if hint is None or hint is Any or hint is Event:
        return "event", None
    if get_origin(hint) is Event:
        (data_type,) = typing.get_args(hint)
        open_type = data_type is Any or isinstance(data_type, TypeVar)
        return "event", None if open_type else data_type
    if hint is Delivery:
        return "delivery", None
    return "data", hint


def _converter(hint: Any) -> Callable[[Any], Any]:
    """How data is validated as a type: by its own pydantic, else by msgspec."""
    validate = getattr(hint, "model_validate", None)
    if validate is None and hasattr(hint, "__pydantic_validator__"):
        validate = hint.__pydantic_validator__.validate_python
    if validate is None:
        validate = functools.partial(msgspec.convert, type=hint)

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
