"""The work on an event: the handlers to call, and how the event is settled."""

from dataclasses import dataclass
from typing import Any

from evmon._consumer.dead_letters import given_up
from evmon._events import Event
from evmon._handlers.handlers import Handler
from evmon._settings.retry_policy import RetryPolicy
from evmon._telemetry.recorders import HandlerSeries
from evmon._transports.base import DeadLetter, Outcome, Received, Redelivery


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A handler with everything needed to call it, built once.

    Attributes:
        handler: the handler.
        series: metrics of the handler.
        policy: retry policy of the handler.
        takes_many: whether one call can handle many events.
    """

    handler: Handler
    series: HandlerSeries
    policy: RetryPolicy
    takes_many: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Settlement:
    """How an entry is settled for which not all handlers succeeded.

    Attributes:
        received: the entry on the transport.
        outcomes: dead letters of the handlers that failed for good, and retries of others.
    """

    received: Received
    outcomes: tuple[Outcome, ...] = ()


class Work:
    """An event whose handlers are being called.

    Args:
        received: the entry on the transport.
        event: the decoded event.
        calls: the handlers to call.

    Attributes:
        calls_left: number of handlers that are neither done nor waiting for a retry.
    """

    __slots__ = ("_letters", "_retries", "calls", "calls_left", "event", "received")

    def __init__(
        self, received: Received, event: "Event[Any]", calls: tuple[Call, ...]
    ) -> None:
        self.received = received
        self.event = event
        self.calls = calls
        self.calls_left = len(calls)
        # Tuples, because most events need none and would pay for lists.
        self._letters: tuple[DeadLetter, ...] = ()
        self._retries: tuple[tuple[str, int, float], ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether no handler has failed or waits for a retry."""
        return not self._letters and not self._retries

    def give_up(self, handler: str, attempts: int, error: BaseException) -> None:
        """Record that a handler failed for good.

        Args:
            handler: name of the handler.
            attempts: attempts that it made.
            error: error of its last attempt.
        """
        self._letters += (given_up(self.event, handler, error, attempts),)

    def retry(self, handler: str, attempts: int, due: float) -> None:
        """Record that a handler waits for a retry.

        Args:
            handler: name of the handler.
            attempts: attempts that it made.
            due: monotonic time of the retry in seconds.
        """
        self._retries += ((handler, attempts, due),)

    def take_retry(self, handler: str) -> None:
        """Record that the retry of a handler begins in this process."""
        self._retries = tuple(r for r in self._retries if r[0] != handler)

    def settlement(self, now: float) -> Settlement:
        """How to settle the event when no call is left.

        Args:
            now: monotonic time in seconds.
        """
        retries = (
            Redelivery(max(due - now, 0.0), attempts, (handler,))
            for handler, attempts, due in self._retries
        )
        return Settlement(self.received, (*self._letters, *retries))
