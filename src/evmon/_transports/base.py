"""What evmon asks of a transport, and what it gets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from evmon.errors import DeadLetterReason


@dataclass(slots=True, eq=False)
class Received:
    """An event as it came from the transport, still encoded.

    Attributes:
        id: of this entry on the transport (not the event's own id).
        raw: the encoded event.
        attempts: handler attempts that earlier deliveries used up.
        deliveries: how often the entry was delivered, this time included.
        handlers: names of the handlers that still have to see it; empty means all.
        token: whatever the transport needs to know it again.
    """

    id: str
    raw: bytes
    attempts: int = 0
    deliveries: int = 1
    handlers: tuple[str, ...] = ()
    token: Any = None

    @property
    def again(self) -> bool:
        """Whether this is not the first time that it comes to a handler."""
        return self.deliveries > 1 or self.attempts > 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why an event is put aside.

    Attributes:
        reason: from a closed set.
        error_type: qualified class of the error; empty when there was none.
        error_message: for people, cut to 1,024 characters.
        handlers: names of the handlers that failed; empty when none was called.
        attempts: handler attempts in all.
        event_type: of the event; empty when it could not be decoded.
        event_id: the event's own id; empty when it could not be decoded.
        traceparent: trace context that the event carried, if it did.
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
class Again:
    """When an entry is delivered again, and to whom.

    Attributes:
        delay: seconds from now.
        attempts: handler attempts so far.
        handlers: names of the handlers that still have to see it.
    """

    delay: float
    attempts: int
    handlers: tuple[str, ...]


class Transport(Protocol):
    """A way for events to travel, with a consumer group at its end.

    Between `open` and `close`, one reader calls `read` and is never cancelled in it but
    at the very end: an answer on its way would be lost. Every entry that it returned is
    ended by exactly one of `ack`, `settle` and `release`. Errors of
    the outside world are raised as `TransportError`.
    """

    system: str
    """Value of ``messaging.system``."""

    destination: str
    """Value of ``messaging.destination.name``."""

    shared: bool
    """Whether other processes can handle what this one leaves unread."""

    @property
    def trouble(self) -> str:
        """Why events cannot be read and published now; empty when they can."""
        ...

    @property
    def backlog(self) -> int:
        """Unread entries that end with this process; 0 where others can take them."""
        ...

    async def open(self, *, reads: bool = True) -> None:
        """Make the transport usable.

        Args:
            reads: whether events are going to be read, and not published alone.
        """
        ...

    async def run(self) -> None:
        """Look after leases, upkeep and figures, until cancelled."""
        ...

    def observe(self) -> None:
        """Record how things stand, where that needs no waiting.

        Called before each collection, from any thread.
        """
        ...

    def watch(self, lost: Callable[[Received], None]) -> None:
        """Call `lost` with every entry that another consumer took over.

        Such an entry is no longer ours to end.
        """
        ...

    async def publish(
        self, batch: Sequence[bytes], types: Sequence[str] = (), ticket: int = 0
    ) -> list[Exception | None]:
        """Append encoded events; the result says for each why it was refused.

        Args:
            batch: the events, encoded.
            types: of the events, where a rule may choose a stream by it.
            ticket: the same for every try of a batch, and above those of all batches
                before it, so that none is appended twice, not even by a try that
                arrives late; 0 when there is one try only. A publisher begins no batch
                before it is through with the last one. A transport that goes by
                tickets appends all events of a try or none: the next try, with those
                that are missing, has the same ticket.
        """
        ...

    async def read(self, max_count: int, max_wait: float) -> list[Received]:
        """Wait for entries, `max_wait` seconds or until `interrupt` is called.

        A transport that is told of new entries may wait longer.
        """
        ...

    def interrupt(self) -> None:
        """Let a waiting `read` return at once."""
        ...

    def ack(self, received: Received) -> None:
        """Note that an entry is done; sent with the next operation or `flush`."""
        ...

    async def flush(self) -> None:
        """Send what was noted."""
        ...

    async def settle(
        self, received: Received, dead: DeadLetter | None, again: Again | None
    ) -> bool:
        """End an entry that is not simply done, atomically and once.

        It is acked and, in the same step, put aside for `dead`, scheduled by `again`,
        or both (some handlers failed for good, others want another try).

        Returns:
            False when nothing was done, because the entry is no longer ours.
        """
        ...

    async def release(self, received: Sequence[Received]) -> None:
        """Give entries back undone, so that another consumer takes them at once."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...
