"""Handlers: their declaration, and the scan of a provider for them."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from evmon._handlers.declarations import Declaration, declarations_of, declare_on
from evmon._handlers.members import declared_members
from evmon._handlers.names import former_name_of, name_of, name_on
from evmon._handlers.signatures import CallMany, CallOne, calls_of, is_async
from evmon._settings.retry_policy import RetryPolicy
from evmon.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """A handler declared on a provider, not bound to it.

    Attributes:
        attribute: name on the provider; None if the provider is the handler.
        declaration: arguments of the declaration.
    """

    attribute: str | None
    declaration: Declaration


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered handler.

    Attributes:
        name: module and name of the function, with the class of the provider if it is
            a method, as in metrics.
        pattern: pattern of the event types that it handles.
        retry: retry policy; None means that of the bus.
        call: function that takes an event and its `Delivery`; returns a coroutine if
            `is_async`.
        is_async: whether the handler runs on the event loop, not in a thread.
        call_many: function that takes a list of events; None if the handler takes one.
        number: number among registered handlers of the same name, from 1.
        former_name: name in versions before 0.1.0, in retries that they scheduled.

    Example:
        >>> [(handler.pattern, handler.name) for handler in bus.handlers]
        [('order.created', 'shop.app.Orders.created')]
    """

    name: str
    pattern: str
    retry: RetryPolicy | None
    call: CallOne = field(compare=False, repr=False)
    is_async: bool = True
    call_many: CallMany | None = field(default=None, compare=False, repr=False)
    number: int = 1
    former_name: str = field(default="", compare=False, repr=False)

    @property
    def key(self) -> str:
        """Unique name in logs and dead letters, such as ``name`` or ``name#2``."""
        return self.name if self.number == 1 else f"{self.name}#{self.number}"


def event_handler(
    pattern: str, *, retry: RetryPolicy | None = None
) -> Callable[[F], F]:
    """Declare a function or method as an event handler.

    Annotations decide what a parameter receives: `Event`, `Event[T]` or no annotation
    the event, `Delivery` how it was delivered, and any other type the event's data,
    validated as that type (a pydantic model, a dataclass, a TypedDict …). Data that
    does not validate is a permanent failure: the event is dead-lettered.

    A function with one parameter annotated `list[Event]` or `list[Event[T]]` receives
    the events of one read in a single call. If the call fails, it is repeated for each
    event alone, so one bad event does not fail the others.

    A coroutine function runs on the event loop, a plain function in a thread. All
    handlers of an event share its data: do not mutate it.

    Args:
        pattern: an event type or a pattern: ``*`` stands for one word, ``**`` at the
            end for one or more words (``order.*``, ``order.**``).
        retry: retry policy of this handler; by default that of the bus.

    Returns:
        A decorator that marks the function and returns it unchanged.

    Raises:
        ConfigError: the pattern or the policy is invalid.

    Example:
        >>> @event_handler("order.created", retry=RetryPolicy(max_retries=5))
        ... async def created(event: Event) -> None: ...
    """
    if callable(pattern):
        raise ConfigError("@event_handler needs a pattern: @event_handler('order.*')")
    check_pattern(pattern)
    _check_retry(retry)
    frame = inspect.currentframe()
    caller = frame.f_back if frame else None
    module = caller.f_globals.get("__name__", "") if caller else ""
    declaration = Declaration(pattern, retry, module)

    def declare(function: F) -> F:
        target: Any = function
        if isinstance(function, (staticmethod, classmethod)):
            target = function.__func__
        if not callable(target) or isinstance(target, type):
            raise ConfigError(f"@event_handler({pattern!r}) must decorate a function")
        declare_on(target, declaration)
        return function

    return declare


def check_pattern(pattern: str) -> str:
    """Return `pattern` if it is valid.

    Raises:
        ConfigError: the pattern is invalid; describes the syntax.
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
            " one word and '**', only at the end, for one or more words"
        )
    return pattern


def scan(provider: Any) -> tuple[HandlerSpec, ...]:
    """Scan a provider for declared handlers.

    Finds methods of its class and base classes, static and class methods, functions of
    a module, attributes of an instance, and declarations below `functools.wraps`.
    A function that a module defines is left to that module, and a method to the class.
    Properties and other descriptors are never triggered, and the result holds no
    reference to the provider.
    """
    if inspect.isroutine(provider) or isinstance(provider, functools.partial):
        return tuple(HandlerSpec(None, d) for d in declarations_of(provider))
    return tuple(
        HandlerSpec(name, declaration)
        for name, declarations in declared_members(provider)
        for declaration in declarations
    )


def bind(provider: Any, spec: HandlerSpec) -> Handler:
    """Bind a declared handler to its provider.

    Raises:
        DiscoveryError: a parameter cannot be filled from an event.
    """
    function, name = provider, None
    if spec.attribute is not None:
        function = getattr(provider, spec.attribute)
        name = name_on(provider, spec.attribute)
    declaration = spec.declaration
    return handler_of(function, declaration.pattern, declaration.retry, name=name)


def handler_of(
    function: Callable[..., Any],
    pattern: str,
    retry: RetryPolicy | None = None,
    *,
    name: str | None = None,
) -> Handler:
    """Make a handler from any callable.

    Args:
        function: any callable.
        pattern: pattern of the event types that it handles.
        retry: retry policy; by default that of the bus.
        name: name of the handler; by default that of the function.

    Raises:
        ConfigError: the pattern is invalid.
        DiscoveryError: a parameter cannot be filled from an event.
    """
    check_pattern(pattern)
    _check_retry(retry)
    name = name or name_of(function)
    call, call_many = calls_of(function, name)
    return Handler(
        name=name,
        pattern=pattern,
        retry=retry,
        call=call,
        is_async=is_async(function),
        call_many=call_many,
        former_name=former_name_of(function),
    )


def _check_retry(retry: object) -> None:
    if retry is not None and not isinstance(retry, RetryPolicy):
        raise ConfigError(
            f"retry={retry!r}: must be a RetryPolicy, such as"
            " RetryPolicy(max_retries=5)"
        )
