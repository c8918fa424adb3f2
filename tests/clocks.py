"""Clocks that a test controls, in place of the system's."""

import asyncio
import heapq
import itertools
from types import SimpleNamespace

from tests.waiting import let_tasks_run


class ManualClock:
    """Time that stands still until a test advances it; sleepers wake in order."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.chance = 1.0
        self.slept: list[float] = []
        self._sleepers: list[list] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return 1_700_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now

    def random(self) -> float:
        return self.chance

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        woken = asyncio.Event()
        timer = self.call_later(seconds, woken.set)
        try:
            await woken.wait()
        finally:
            timer.cancel()

    async def interval(self, seconds: float) -> None:
        await self.sleep(seconds)

    def call_later(self, seconds, callback):
        entry = [self.now + seconds, next(self._numbers), callback]
        heapq.heappush(self._sleepers, entry)
        return SimpleNamespace(cancel=lambda: entry.__setitem__(2, None))

    async def advance(self, seconds: float) -> None:
        """Move time forward and wake every sleeper that is due by then."""
        end = self.now + seconds
        await let_tasks_run()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, callback = heapq.heappop(self._sleepers)
            self.now = max(self.now, due)
            if callback is not None:
                callback()
            await let_tasks_run()
        self.now = end
        await let_tasks_run()


class InstantClock(ManualClock):
    """Sleeps that end at once and are recorded; timeouts take real time."""

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def call_later(self, seconds, callback):
        return asyncio.get_running_loop().call_later(seconds, callback)
