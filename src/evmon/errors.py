"""Everything evmon raises, and what a handler may raise to steer its event.

::

    EvmonError
    ├── ConfigError            a setting is wrong (also a ValueError)
    ├── BusStateError          a call that the bus cannot serve in its state
    ├── DiscoveryError         a provider cannot be looked at
    ├── InvalidEventError      not an event, or its data is not what a handler takes
    ├── PublishError           an event was not accepted by the transport
    ├── TransportError         the transport failed; a retry may heal it
    └── HandlerSignal          raised *by handlers*
        ├── Reject             never again: dead-letter this event
        └── RetryLater         not a failure of the event: try again after a delay
"""

from typing import Final, Literal, get_args

__all__ = [
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
]
"""Why an event was dead-lettered: a closed set, so that it can be a label."""

DEAD_LETTER_REASONS: tuple[DeadLetterReason, ...] = get_args(DeadLetterReason)

LossReason = Literal["trimmed", "stopped", "unsent"]
"""How events got lost: trimmed by somebody, in the memory of a process that ended, or
given to `publish_nowait` and not accepted by the transport."""

LOSS_REASONS: tuple[LossReason, ...] = get_args(LossReason)


class EvmonError(Exception):
    """The root of all errors of evmon."""


class ConfigError(EvmonError, ValueError):
    """A setting has a value that it cannot have; the message says what it may be."""


class BusStateError(EvmonError, RuntimeError):
    """The bus is not in a state to do that, for example it is not running."""


class DiscoveryError(EvmonError):
    """A provider cannot be looked at; the message says why."""


class InvalidEventError(EvmonError, ValueError):
    """Bytes that are no event, or data that a handler does not take.

    Such a failure is permanent: the event is dead-lettered, never retried.

    Attributes:
        reason: why, as the dead letter will say it.
    """

    def __init__(self, reason: DeadLetterReason, message: str) -> None:
        super().__init__(message)
        self.reason: DeadLetterReason = reason


class PublishError(EvmonError):
    """An event was not accepted by the transport, after all retries.

    Attributes:
        event_id: the id of the event that was refused.
    """

    def __init__(self, event_id: str, message: str) -> None:
        super().__init__(f"event {event_id} was not published: {message}")
        self.event_id = event_id


class TransportError(EvmonError):
    """The transport failed to carry out an operation; a retry may heal it."""


class HandlerSignal(EvmonError):  # noqa: N818 - a decision, not an error
    """Base of what a handler raises to decide about its event."""


class Reject(HandlerSignal):
    """Raised by a handler: do not retry, dead-letter the event.

    Args:
        reason: for the person who reads the dead letter.

    Example:
        >>> raise Reject("order 7 was cancelled")
        Traceback (most recent call last):
        evmon.errors.Reject: order 7 was cancelled
    """


MAX_DELAY: Final = 31_536_000
"""Seconds that an event may be put off: a year."""


class RetryLater(HandlerSignal):
    """Raised by a handler: try this event again after a delay.

    The attempt counts towards the handler's ``max_retries``.

    Args:
        delay: seconds to wait, 0 to a year.
    """

    def __init__(self, delay: float) -> None:
        if not isinstance(delay, (int, float)) or not 0 <= delay <= MAX_DELAY:
            msg = f"RetryLater({delay!r}): must be seconds, 0 to {MAX_DELAY:,} (a year)"
            raise ConfigError(msg)
        super().__init__(f"again in {delay} s")
        self.delay = delay
