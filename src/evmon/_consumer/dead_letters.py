"""Dead letters: the record of why an event was dead-lettered."""

from typing import Any

from evmon._events import Event
from evmon._text import MAX_LENGTH, one_line
from evmon._transports.base import DeadLetter, Received
from evmon.errors import (
    DeadLetterReason,
    InvalidEventError,
    Reject,
    decisive_error,
)


def undecodable(error: InvalidEventError, received: Received) -> DeadLetter:
    """The dead letter of bytes that cannot be decoded."""
    return DeadLetter(error.reason, *_describe(error), attempts=received.attempts)


def refused(
    event: "Event[Any]", reason: DeadLetterReason, received: Received, message: str
) -> DeadLetter:
    """The dead letter of an event that no handler is called for."""
    handlers, attempts = received.handlers, received.attempts
    return DeadLetter(reason, "", message, handlers, attempts, *_attributes(event))


def given_up(
    event: "Event[Any]", handler: str, error: BaseException, attempts: int
) -> DeadLetter:
    """The dead letter of an event that a handler failed on."""
    error = decisive_error(error)
    return DeadLetter(
        _reason(error), *_describe(error), (handler,), attempts, *_attributes(event)
    )


def _reason(error: BaseException) -> DeadLetterReason:
    if isinstance(error, InvalidEventError):
        return error.reason
    return "rejected" if isinstance(error, Reject) else "handler_error"


def _describe(error: BaseException) -> tuple[str, str]:
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}"[:MAX_LENGTH], one_line(error)


def _attributes(event: "Event[Any]") -> tuple[str, str, str]:
    return event.type, event.id, event.traceparent or ""
