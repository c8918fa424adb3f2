"""The in-process transport: same semantics as Redis, without a server."""

import asyncio
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from evmon._clock import SYSTEM_CLOCK, Clock, Timer
from evmon._log_fields import about_many
from evmon._telemetry.transport_recorder import (
    ServiceStats,
    StreamStats,
    TransportRecorder,
    no_recorder,
)
from evmon._transports.base import DeadLetter, Outcome, Received, Redelivery
from evmon._transports.factory import TransportFactory, TransportOptions
from evmon.errors import TransportError

T = TypeVar("T")

_log = logging.getLogger("evmon.transport")

CAPACITY: Final = 100_000
DEAD_LETTERS_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class DeadEntry:
    """A dead-lettered entry, the reason, and when it was dead-lettered."""

    received: Received
    letter: DeadLetter
    dead_at: float


def _first(queue: "deque[T]") -> "list[T]":
    """The first entry of a queue, if any; may be called from other threads."""
    try:
        return [queue[0]]
    except IndexError:
        return []


class MemoryTransport:
    """An in-memory queue; its events are lost when the process ends.

    Events are encoded and decoded as on any other transport, so handlers see the same
    data. A full queue refuses events instead of growing without bound.

    Args:
        destination: name of the queue in metrics.
        clock: source of time for the retry schedule.
        capacity: maximum number of events kept, unread and scheduled together.
        recorder: recorder of metrics; by default none.
    """

    system = "memory"
    server: Mapping[str, str | int] = {}
    streams: Sequence[str] = ("",)
    sent_to: Sequence[str] = ()
    shared = False
    problem = ""

    def __init__(
        self,
        destination: str,
        clock: Clock = SYSTEM_CLOCK,
        capacity: int = CAPACITY,
        recorder: TransportRecorder | None = None,
    ) -> None:
        self.destination = destination
        self._recorder = recorder or no_recorder()
        self._queue_recorder = self._recorder.stream()
        self.dead_letters: deque[DeadEntry] = deque(maxlen=DEAD_LETTERS_KEPT)
        self._clock = clock
        self._capacity = capacity
        self._ids = itertools.count(1)
        self._ready: deque[Received] = deque()
        self._scheduled: list[tuple[float, int, Received]] = []
        self._pending: dict[str, Received] = {}
        self._wake = asyncio.Event()
        self.idle = 0.0
        self._timer: Timer | None = None

    @property
    def pending(self) -> int:
        """Entries read and not yet settled."""
        return len(self._pending)

    @property
    def length(self) -> int:
        """Entries waiting to be read, scheduled ones included."""
        return len(self._ready) + len(self._scheduled)

    @property
    def backlog(self) -> int:
        """Entries that can be read now; no other process can take them."""
        return len(self._ready)

    def __repr__(self) -> str:
        return "MemoryTransport()"

    async def open(self, *, reads: bool = True) -> None:
        """Nothing to open."""

    async def run(self) -> None:
        """Nothing to maintain: wait until cancelled."""
        await asyncio.Event().wait()

    def observe(self) -> None:
        """Record lag, pending entries and sizes."""
        now = self._clock.monotonic()
        self._queue_recorder.record_stats(self._queue_stats(now))
        dead = [entry.dead_at for entry in _first(self.dead_letters)]
        self._recorder.record_stats(
            ServiceStats(
                dead=len(self.dead_letters),
                dead_age=now - min(dead, default=now),
                scheduled=len(self._scheduled),
            )
        )

    def watch(self, lost: Callable[[Received], None]) -> None:
        """No other consumer takes entries over."""

    async def publish(
        self,
        batch: Sequence[bytes],
        types: Sequence[str] = (),  # noqa: ARG002 - one queue for all
        ticket: int = 0,  # noqa: ARG002 - a publish cannot fail half-way
    ) -> list[Exception | None]:
        """Append to the queue; events beyond its capacity are refused."""
        room = max(self._capacity - self.length, 0)
        now = self._clock.monotonic()
        self._ready.extend(
            Received(str(number), raw, token=now)
            for number, raw in zip(self._ids, batch[:room], strict=False)
        )
        if room:
            self._wake.set()
        refused = len(batch) - room
        if refused <= 0:
            return [None] * len(batch)
        full = TransportError(f"the queue is full ({self._capacity} events)")
        return [None] * room + [full] * refused

    async def read(self, max_count: int, max_wait: float) -> list[Received]:  # noqa: ARG002
        """Wait for entries; a publish wakes the reader, without a timer."""
        self._promote()
        self.idle = 0.0
        if not self._ready:
            started = self._clock.monotonic()
            self._wake.clear()
            await self._wake.wait()
            self._promote()
            self.idle = self._clock.monotonic() - started
        count = min(max_count, len(self._ready))
        entries = [self._ready.popleft() for _ in range(count)]
        self._pending.update((entry.id, entry) for entry in entries)
        self._recorder.polled(self._clock.time())
        now = self._clock.monotonic()
        first_time = (e for e in entries if e.deliveries == 1 and not e.attempts)
        self._queue_recorder.waited([now - entry.token for entry in first_time])
        return entries

    def interrupt(self) -> None:
        """Make a waiting `read` return at once."""
        self._wake.set()

    def ack(self, received: Received) -> None:
        """Acknowledge an entry."""
        self._pending.pop(received.id, None)

    async def flush(self) -> None:
        """Nothing is buffered."""

    async def settle(self, received: Received, outcomes: Sequence[Outcome]) -> bool:
        """Dead-letter an entry (the last 10,000 are kept) or schedule it."""
        self.ack(received)
        now = self._clock.monotonic()
        for outcome in outcomes:
            if isinstance(outcome, DeadLetter):
                self.dead_letters.append(DeadEntry(received, outcome, now))
            else:
                self._schedule(received, outcome, now)
        self._set_timer()
        return True

    async def release(self, received: Sequence[Received]) -> None:
        """Put entries back at the front of the queue, for redelivery."""
        for entry in reversed(received):
            if self._pending.pop(entry.id, None) is not None:
                self._ready.appendleft(replace(entry, deliveries=entry.deliveries + 1))
        self._wake.set()

    async def close(self) -> None:
        """Stop the retry timer and report the events that are lost."""
        if self.length:
            self._recorder.lost("stopped", self.length)
            scheduled = (entry for _, _, entry in self._scheduled)
            subject = about_many(self.length, [*self._ready, *scheduled])
            _log.warning(
                "dropped %s that were not handled: memory:// does not outlive the process",
                subject,
                extra=subject.fields,
            )
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _queue_stats(self, now: float) -> StreamStats:
        """The current state; the token of an entry is the time of its publication."""
        # Copy in one step: the event loop may change the queues meanwhile.
        pending = [entry.token for entry in list(self._pending.values())]
        unread = [entry.token for entry in _first(self._ready)]
        return StreamStats(
            length=self.length + self.pending,
            lag=len(self._ready),
            pending=len(pending),
            pending_age=now - min(pending, default=now),
            unread_age=now - min(unread, default=now),
        )

    def _schedule(self, received: Received, retry: Redelivery, now: float) -> None:
        number = next(self._ids)
        entry = replace(
            received,
            id=str(number),
            attempts=retry.attempts,
            handlers=retry.handlers,
        )
        heapq.heappush(self._scheduled, (now + retry.delay, number, entry))

    def _promote(self) -> None:
        """Move due entries from the schedule to the queue."""
        now = self._clock.monotonic()
        while self._scheduled and self._scheduled[0][0] <= now:
            self._ready.append(heapq.heappop(self._scheduled)[2])
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._scheduled:
            wait = max(self._scheduled[0][0] - self._clock.monotonic(), 0.0)
            self._timer = self._clock.call_later(wait, self._wake.set)


def _open(options: TransportOptions) -> MemoryTransport:
    return MemoryTransport(options.service, options.clock, recorder=options.recorder)


FACTORY: Final = TransportFactory(open=_open)
