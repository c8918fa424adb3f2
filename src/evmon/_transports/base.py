"""The interface between evmon and a transport."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from evmon.errors import DeadLetterReason


@dataclass(slots=True, eq=False)
class Received:
    """A delivered entry: an event, still encoded.

    Attributes:
        id: id of the entry on the transport (not the event's own id).
        raw: the encoded event.
        attempts: attempts that each handler made in earlier deliveries.
        deliveries: number of deliveries, this one included.
        handlers: names of the handlers still to be called; empty means all.
        token: private data of the transport.
        stream: name of the additional stream that it came from; empty for the service's
            own.
    """

    id: str
    raw: bytes
    attempts: int = 0
    deliveries: int = 1
    handlers: tuple[str, ...] = ()
    token: Any = None
    stream: str = ""

    @property
    def redelivered(self) -> bool:
        """Whether it was delivered or attempted before."""
        return self.deliveries > 1 or self.attempts > 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why an event is dead-lettered, for the handlers that failed with one error.

    Attributes:
        reason: from a closed set.
        error_type: qualified class name of the error; empty if there was none.
        error_message: message of the error, truncated to 1,024 characters.
        handlers: names of the handlers that failed; empty if none was called.
        attempts: attempts that each of these handlers made.
        event_type: type of the event; empty if it could not be decoded.
        event_id: the event's own id; empty if it could not be decoded.
        traceparent: W3C Trace Context of the event; empty if it has none.
    """

    reason: DeadLetterReason
    error_type: str = ""
    error_message: str = ""
    handlers: tuple[str, ...] = ()
    attempts: int = 0
    event_type: str = ""
    event_id: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Redelivery:
    """When an entry is delivered again, and to which handlers.

    Attributes:
        delay: seconds from now.
        attempts: attempts that each of these handlers made so far.
        handlers: names of the handlers to call; empty means all.
    """

    delay: float
    attempts: int
    handlers: tuple[str, ...]


Outcome: TypeAlias = DeadLetter | Redelivery
"""What becomes of an event for handlers that did not succeed."""


class Transport(Protocol):
    """Carries events from publishers to a consumer group.

    Between `open` and `close`, one reader calls `read`, and is not cancelled in it
    until the very end: a response in flight would be lost. Every entry that `read` returns
    is finished by exactly one of `ack`, `settle` and `release`. Failures of the server
    or the network are raised as `TransportError`.
    """

    system: str
    """Value of ``messaging.system``."""

    destination: str
    """Value of ``messaging.destination.name`` of the service's own stream."""

    streams: Sequence[str]
    """Names of all streams; empty for the service's own."""

    server: Mapping[str, str | int]
    """Attributes of the server, such as ``server.address``; empty if there is none."""

    shared: bool
    """Whether other processes can handle what this one does not."""

    @property
    def idle(self) -> float:
        """Seconds of the last `read` in which no event was there to be read."""
        ...

    @property
    def sent_to(self) -> Sequence[str]:
        """Stream of each event of the last `publish`; empty if there is only one."""
        ...

    @property
    def problem(self) -> str:
        """Why events cannot be read or published now; empty if they can."""
        ...

    @property
    def backlog(self) -> int:
        """Unread entries that are lost with this process; 0 if others can take them."""
        ...

    async def open(self, *, reads: bool = True) -> None:
        """Connect.

        Args:
            reads: whether events will be read, not only published.
        """
        ...

    async def run(self) -> None:
        """Renew leases, maintain the stream and update metrics, until cancelled."""
        ...

    def observe(self) -> None:
        """Record lag, pending entries and sizes, if known without waiting.

        Called before each collection, from any thread.
        """
        ...

    def watch(self, lost: Callable[[Received], None]) -> None:
        """Call `lost` with every entry that another consumer has reclaimed.

        Such an entry must no longer be finished here.
        """
        ...

    async def publish(
        self, batch: Sequence[bytes], types: Sequence[str] = (), ticket: int = 0
    ) -> list[Exception | None]:
        """Append encoded events; returns for each None, or why it was refused.

        Args:
            batch: the encoded events.
            types: types of the events, for transports that select a stream by type.
            ticket: the same for every attempt at a batch and greater than those of all
                earlier batches, so that no event is appended twice, even if an attempt
                arrives late; 0 if there is only one attempt. A publisher finishes each
                batch before the next. A transport that uses tickets appends all events
                of an attempt or none; an attempt at the missing ones has the same
                ticket.
        """
        ...

    async def read(self, max_count: int, max_wait: float) -> list[Received]:
        """Wait for entries, up to `max_wait` seconds or until `interrupt` is called.

        A transport that is notified of new entries may wait longer.
        """
        ...

    def interrupt(self) -> None:
        """Make a waiting `read` return at once."""
        ...

    def ack(self, received: Received) -> None:
        """Acknowledge an entry; sent with the next operation or `flush`."""
        ...

    async def flush(self) -> None:
        """Send buffered acknowledgements."""
        ...

    async def settle(self, received: Received, outcomes: Sequence[Outcome]) -> bool:
        """Acknowledge an entry that did not succeed, in one atomic step.

        The same step stores its dead letters and schedules its retries: some handlers
        failed for good, others are to be retried, each in its own time.

        Args:
            received: entry as returned by `read`.
            outcomes: dead letters to store and retries to schedule.

        Returns:
            False if nothing was done because the entry was reclaimed.
        """
        ...

    async def release(self, received: Sequence[Received]) -> None:
        """Give unfinished entries back, for another consumer to take at once."""
        ...

    async def close(self) -> None:
        """Release all resources."""
        ...
