"""The work on an event: the handlers to call, and how the event is settled."""

from dataclasses import dataclass
from typing import Any

from evmon._consumer.dead_letters import given_up
from evmon._events import Event
from evmon._handlers.handlers import Handler
from evmon._settings.retry_policy import RetryPolicy
from evmon._telemetry.recorders import HandlerSeries
from evmon._transports.base import DeadLetter, Received, Redelivery


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
        dead: the dead letter, if some handlers failed for good.
        redelivery: the redelivery, if some handlers are retried later.
    """

    received: Received
    dead: DeadLetter | None = None
    redelivery: Redelivery | None = None


class Work:
    """An event whose handlers are being called.

    Args:
        received: the entry on the transport.
        event: the decoded event.
        calls: the handlers to call.

    Attributes:
        calls_left: number of handlers that are not done.
        attempts: the most attempts that any handler made.
        retries: names of the handlers to retry later, each with a delay in seconds.
        failures: names of the handlers that failed for good, each with its error.
    """

    __slots__ = (
        *("attempts", "calls", "calls_left", "event", "failures", "received"),
        "retries",
    )

    def __init__(
        self, received: Received, event: "Event[Any]", calls: tuple[Call, ...]
    ) -> None:
        self.received = received
        self.event = event
        self.calls = calls
        self.calls_left = len(calls)
        self.attempts = received.attempts
        self.retries: list[tuple[str, float]] = []
        self.failures: list[tuple[str, BaseException]] = []

    def settlement(self) -> Settlement:
        """How to settle the event, now that all handlers are done."""
        dead = redelivery = None
        if self.failures:
            dead = given_up(self.event, self.failures, self.attempts)
        if self.retries:
            names, delays = zip(*self.retries, strict=True)
            redelivery = Redelivery(min(delays), self.attempts, names)
        return Settlement(self.received, dead, redelivery)
