"""Handlers: how they are declared, and found on a provider."""

import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from evmon._retry import RetryPolicy
from evmon._signatures import CallMany, CallOne, calls_of, is_async
from evmon.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

_DECLARATIONS: Final = "__evmon_handles__"


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
        name: module and qualified name of the function, as it stands in metrics.
        pattern: of the event types that it handles.
        retry: its policy; None means the bus' own.
        call: takes the event and how it was delivered. It awaits nothing itself:
            a coroutine function's call returns the coroutine.
        is_async: whether `call` returns something to await; otherwise it blocks and
            belongs in a thread.
        call_many: likewise with many events, if it takes many.
        number: which of the registered handlers of that name it is, from 1.
    """

    name: str
    pattern: str
    retry: RetryPolicy | None
    call: CallOne = field(compare=False, repr=False)
    is_async: bool = True
    call_many: CallMany | None = field(default=None, compare=False, repr=False)
    number: int = 1

    @property
    def key(self) -> str:
        """What tells it from all others, in logs, retries and dead letters."""
        return self.name if self.number == 1 else f"{self.name}#{self.number}"


def event_handler(
    pattern: str, *, retry: RetryPolicy | None = None
) -> Callable[[F], F]:
    """Declare a function or method as a handler of events.

    The function itself is returned unchanged. Its parameters say what it wants: one
    that is annotated `Event`, `Event[T]`, or not at all takes the event, one annotated
    `Delivery` takes how it was delivered, and any other annotation takes the event's
    data, validated as that type (a pydantic model, a dataclass, a TypedDict …). Data
    that does not fit is a permanent failure.

    A function with one parameter, annotated `list[Event]` or `list[Event[T]]`, takes many
    events in one call: those that came in one read. When it fails, it is called again
    with each of them alone, so that one bad event is no other's failure.

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
    if callable(pattern):
        raise ConfigError("@event_handler needs a pattern: @event_handler('order.*')")
    check_pattern(pattern)
    _check_retry(retry)
    declaration = Declaration(pattern, retry)

    def declare(function: F) -> F:
        target: Any = function
        if isinstance(function, (staticmethod, classmethod)):
            target = function.__func__
        if not callable(target) or isinstance(target, type):
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
    _check_retry(retry)
    name = _name_of(function)
    call, call_many = calls_of(function, name)
    asynchronous = is_async(function)
    if asynchronous and not inspect.iscoroutinefunction(function):
        # A plain wrapper of a coroutine function may return its coroutine, or not.
        call, call_many = _awaited(call), call_many and _awaited(call_many)
    return Handler(
        name=name,
        pattern=pattern,
        retry=retry,
        call=call,
        is_async=asynchronous,
        call_many=call_many,
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
        if isinstance(value, functools.partial):
            value = value.func
        else:
            value = inspect.getattr_static(value, "__wrapped__", None)
        seen += 1
    return ()


def _awaited(call: Callable[..., Any]) -> Callable[..., Any]:
    async def awaited(*arguments: Any) -> None:
        result = call(*arguments)
        if inspect.isawaitable(result):
            await result

    return awaited


def _check_retry(retry: object) -> None:
    if retry is not None and not isinstance(retry, RetryPolicy):
        raise ConfigError(
            f"retry={retry!r}: must be a RetryPolicy, such as"
            " RetryPolicy(max_retries=5)"
        )


def _name_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    module = getattr(named, "__module__", None)
    name: str = named.__qualname__.replace("<locals>.", "")
    return f"{module}.{name}" if module else name


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
