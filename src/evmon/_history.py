"""The history of a bus in a test: what was published, and how it was handled."""

from dataclasses import dataclass
from typing import Any, Literal

from evmon._events import Event, decode

Outcome = Literal["succeeded", "retried", "failed"]


@dataclass(frozen=True, slots=True)
class Handled:
    """A call of a handler with an event.

    Attributes:
        event: the event.
        handler: name of the handler, as in logs and dead letters.
        attempt: number of the call of the handler with the event, from 1.
        outcome: ``succeeded``, ``retried`` if the call failed and another one follows, or
            ``failed`` if none follows: then the event is dead-lettered.
        error: what the handler raised; None if it succeeded.
        delay: seconds until the retry; None if there is none.

    Example:
        >>> [(call.handler, call.outcome) for call in history.handled]
        [('shop.app.created', 'succeeded')]
    """

    event: "Event[Any]"
    handler: str
    attempt: int
    outcome: Outcome
    error: BaseException | None = None
    delay: float | None = None


class History:
    """What happened on a bus since its start; made by `evmon.testing.record`.

    Example:
        >>> history = record(bus)
        >>> async with bus:
        ...     await bus.publish("order.created", {"id": 7})
        ...     await settled(bus)
        >>> [event.data for event in history.published]
        [{'id': 7}]
    """

    def __init__(self) -> None:
        self._published: list[bytes] = []
        self._handled: list[Handled] = []

    @property
    def published(self) -> "tuple[Event[Any], ...]":
        """The events that the transport accepted, in order, decoded for handlers."""
        return tuple(decode(raw) for raw in self._published)

    @property
    def handled(self) -> tuple[Handled, ...]:
        """The calls of handlers that ended, in order.

        An event that no handler takes is only in the dead letters.
        """
        return tuple(self._handled)

    def add_published(self, raw: bytes) -> None:
        """Add an event that the transport accepted.

        Args:
            raw: the encoded event.
        """
        self._published.append(raw)

    def add_handled(
        self,
        event: "Event[Any]",
        handler: str,
        attempt: int,
        *,
        error: BaseException | None = None,
        delay: float | None = None,
    ) -> None:
        """Add a call of a handler.

        Args:
            event: the event.
            handler: name of the handler.
            attempt: number of the call, from 1.
            error: what the handler raised, if it failed.
            delay: seconds until the retry, if there is one.
        """
        outcome: Outcome = "succeeded"
        if error is not None:
            outcome = "failed" if delay is None else "retried"
        self._handled.append(Handled(event, handler, attempt, outcome, error, delay))
