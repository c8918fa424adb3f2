"""The exceptions of evmon, and those that a handler raises to control its event.

::

    EvmonError
    ├── ConfigError            an invalid setting (also a ValueError)
    ├── BusStateError          not possible now, such as not running (also a RuntimeError)
    ├── DiscoveryError         a provider has no usable handlers
    ├── InvalidEventError      an invalid event or data (also a ValueError)
    ├── PublishError           the transport did not accept an event
    ├── TransportError         the transport failed; a retry may succeed
    └── HandlerSignal          raised *by handlers*
        ├── Reject             dead-letter this event without a retry
        └── RetryLater         retry this event after a delay
"""

import sys
from collections.abc import Iterator
from typing import Any, Final, Literal, get_args

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

__all__ = [
    "EXIT_UNFINISHED",
    "BusStateError",
    "ConfigError",
    "DeadLetterReason",
    "DiscoveryError",
    "EvmonError",
    "HandlerSignal",
    "InvalidEventError",
    "PublishError",
    "Reject",
    "RetryLater",
    "TransportError",
]

DeadLetterReason = Literal[
    "handler_error",
    "rejected",
    "invalid_data",
    "max_deliveries",
    "decode_error",
    "too_large",
    "too_deep",
    "unknown_type",
    "unreadable",
]
"""Why an event was dead-lettered; a closed set, so that it can be a metric label.

``unreadable`` is the reason of what another program wrote, and evmon cannot read: a
scheduled retry, or a dead letter without a reason.
"""

DEAD_LETTER_REASONS: tuple[DeadLetterReason, ...] = get_args(DeadLetterReason)

LossReason = Literal["trimmed", "stopped", "unsent"]
"""How events were lost: trimmed from the stream, in the memory of a process that ended,
or published with `publish_nowait` and not accepted by the transport."""

LOSS_REASONS: tuple[LossReason, ...] = get_args(LossReason)


EXIT_UNFINISHED: Final = 75
"""Exit code of a process that `run` or `serve` had to end after the drain timeout, because a
handler ignored its cancellation or a thread did not return. Its events were released."""


class EvmonError(Exception):
    """Base class of all exceptions of evmon.

    They can be pickled and copied, for example by a process pool.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[EvmonError], args: tuple[Any, ...]) -> EvmonError:
    """Make an exception without its constructor, whose parameters are not `args`."""
    return kind.__new__(kind, *args)


class ConfigError(EvmonError, ValueError):
    """A setting has an invalid value; the message names the allowed values."""


class BusStateError(EvmonError, RuntimeError):
    """The operation is not possible now, for example because the bus is not running."""


class DiscoveryError(EvmonError):
    """A provider cannot be imported, instantiated or scanned; the message says why."""


class InvalidEventError(EvmonError, ValueError):
    """An event that is not valid, or data that a handler does not accept.

    The failure is permanent: a consumed event is dead-lettered, never retried. Event
    attributes follow the CloudEvents 1.0 specification.

    Attributes:
        reason: the reason in the dead letter, a `DeadLetterReason`.
    """

    def __init__(self, reason: DeadLetterReason, message: str) -> None:
        super().__init__(message)
        self.reason: DeadLetterReason = reason


class PublishError(EvmonError):
    """The transport did not accept an event, after all retries.

    Attributes:
        event_id: id of the event.
    """

    def __init__(self, event_id: str, message: str) -> None:
        super().__init__(f"event {event_id} was not published: {message}")
        self.event_id = event_id


class TransportError(EvmonError):
    """The transport failed to carry out an operation; a retry may succeed."""


class HandlerSignal(EvmonError):  # noqa: N818 - a decision, not an error
    """Base class of what a handler raises to control its event."""


class Reject(HandlerSignal):
    """Raised by a handler: dead-letter the event without a retry.

    Args:
        reason: text for the dead letter.

    Example:
        >>> raise Reject("order 7 was cancelled")
        Traceback (most recent call last):
        evmon.errors.Reject: order 7 was cancelled
    """


MAX_DELAY: Final = 31_536_000
"""Maximum delay of `RetryLater` in seconds: a year."""


class RetryLater(HandlerSignal):
    """Raised by a handler: retry this event after a delay.

    The attempt counts towards the handler's ``max_retries``. In an ExceptionGroup, a
    `Reject` or `InvalidEventError` takes precedence, and the longest delay counts.

    Args:
        delay: seconds to wait, from 0 to 31,536,000 (a year).

    Raises:
        ConfigError: the delay is out of range.

    Example:
        >>> raise RetryLater(30)
        Traceback (most recent call last):
        evmon.errors.RetryLater: retry in 30 s
    """

    def __init__(self, delay: float) -> None:
        if not isinstance(delay, (int, float)) or not 0 <= delay <= MAX_DELAY:
            msg = f"RetryLater({delay!r}): must be seconds from 0 to {MAX_DELAY:,} (a year)"
            raise ConfigError(msg)
        super().__init__(f"retry in {delay} s")
        self.delay = delay


def decisive_error(error: BaseException) -> BaseException:
    """The error in an ExceptionGroup that decides what becomes of the event.

    The first `Reject` or `InvalidEventError`, else the `RetryLater` with the longest
    delay, else the group; an error that is no group decides alone.

    Example:
        >>> decisive_error(KeyError("id"))
        KeyError('id')
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = list(leaf_errors(error))
    for leaf in leaves:
        if isinstance(leaf, (Reject, InvalidEventError)):
            return leaf
    later = [leaf for leaf in leaves if isinstance(leaf, RetryLater)]
    return max(later, key=lambda leaf: leaf.delay, default=error)


def leaf_errors(error: BaseException) -> Iterator[BaseException]:
    """The errors in an ExceptionGroup and the groups within; else the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from leaf_errors(part)
    else:
        yield error
