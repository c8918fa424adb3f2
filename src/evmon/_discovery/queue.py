"""The queue of providers to scan."""

import asyncio
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from evmon._clock import Clock
from evmon._telemetry.recorders import DiscoveryRecorder, Outcome

EXPECTED_WITHIN: Final = 30.0
"""Seconds for which a provider in the queue is expected to bring handlers."""


@dataclass(slots=True, eq=False)
class Item:
    """A queue entry: a provider or the name of a module.

    Attributes:
        subject: the provider, or the name.
        is_module_name: whether `subject` is the name of a module.
        at_start: whether it was registered before the start of the bus had ended.
        attempts: number of failed scans.
        queued_at: monotonic time at which it was first queued.
    """

    subject: Any
    is_module_name: bool = False
    at_start: bool = False
    attempts: int = 0
    queued_at: float = 0.0


class ProviderQueue:
    """Items to scan; thread-safe.

    An item is pending until it is settled: its handlers are registered, it has none, it
    failed for good, or it was withdrawn. It can be queued several times until then.

    Args:
        recorder: recorder of the size of the queue and of outcomes.
        clock: source of time.
    """

    def __init__(self, recorder: DiscoveryRecorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._items: deque[Item] = deque()
        self._pending: dict[Item, None] = {}
        self._lock = threading.Lock()
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, item: Item) -> bool:
        return item in self._pending

    @property
    def is_quiet(self) -> bool:
        """Whether every item has been taken and scanned once."""
        return self._quiet.is_set()

    @property
    def expects_more(self) -> bool:
        """Whether an item that was queued in the last 30 s may still bring handlers."""
        with self._lock:
            newest = next(reversed(self._pending), None)
        if newest is None:
            return False
        return self._clock.monotonic() - newest.queued_at < EXPECTED_WITHIN

    @property
    def subjects(self) -> list[Any]:
        """The subjects of pending items."""
        with self._lock:
            return [item.subject for item in self._pending]

    def put(self, item: Item) -> None:
        """Queue an item, for the first time or for a retry."""
        with self._lock:
            if item.attempts == 0:
                item.queued_at = self._clock.monotonic()
                self._pending[item] = None
                self._recorder.queued()
            self._items.append(item)
            self._quiet.clear()
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._wake.set)

    async def take(self, max_count: int) -> list[Item]:
        """Wait for items and take up to `max_count` of them."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            with self._lock:
                if self._items:
                    count = min(max_count, len(self._items))
                    return [self._items.popleft() for _ in range(count)]
                self._quiet.set()
            await self._wake.wait()

    async def wait_until_quiet(self) -> None:
        """Wait until every item has been taken and scanned once."""
        await self._quiet.wait()

    def settle(self, item: Item, outcome: Outcome) -> bool:
        """Settle an item; returns False if it had been withdrawn."""
        with self._lock:
            if item not in self._pending:
                return False
            del self._pending[item]
        self._recorder.settled(outcome)
        return True

    def withdraw(self, provider: Any) -> None:
        """Withdraw the items of a provider."""
        with self._lock:
            withdrawn = [item for item in self._pending if item.subject is provider]
            for item in withdrawn:
                del self._pending[item]
            self._recorder.dropped(len(withdrawn))

    def clear(self) -> None:
        """Withdraw all items; later ones are only taken after another `take`."""
        self._loop = None
        with self._lock:
            self._recorder.dropped(len(self._pending))
            self._pending.clear()
            self._items.clear()
