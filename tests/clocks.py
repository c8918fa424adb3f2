"""Clocks that a test controls, in place of the system's."""

import asyncio
import heapq
import itertools

from tests.waiting import let_tasks_run


class ManualClock:
    """Time that stands still until a test advances it; sleepers wake in order."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.chance = 1.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return 1_700_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now

    def random(self) -> float:
        return self.chance

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        waiting = asyncio.get_running_loop().create_future()
        due = self.now + seconds
        heapq.heappush(self._sleepers, (due, next(self._numbers), waiting))
        await waiting

    async def advance(self, seconds: float) -> None:
        """Move time forward and wake every sleeper that is due by then."""
        end = self.now + seconds
        await let_tasks_run()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, waiting = heapq.heappop(self._sleepers)
            self.now = max(self.now, due)
            if not waiting.done():
                waiting.set_result(None)
            await let_tasks_run()
        self.now = end
        await let_tasks_run()


class InstantClock(ManualClock):
    """Time that passes at once: a sleep only records how long it was."""

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)
