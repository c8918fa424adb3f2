"""Time and randomness, injectable for tests."""

import random as _random
import time as _time
from typing import Protocol

import anyio


class Clock(Protocol):
    """Time and randomness as evmon uses them."""

    def time(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Monotonic seconds; only differences are meaningful."""
        ...

    def random(self) -> float:
        """A number in [0, 1), for jitter."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...


class SystemClock:
    """The machine's own clock and randomness."""

    time = staticmethod(_time.time)
    monotonic = staticmethod(_time.monotonic)
    random = staticmethod(_random.random)
    sleep = staticmethod(anyio.sleep)


SYSTEM_CLOCK: Clock = SystemClock()
