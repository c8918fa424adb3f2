"""Time and randomness, which tests replace."""

import random as _random
import time as _time
from typing import Protocol

import anyio


class Clock(Protocol):
    """Source of time and randomness."""

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
        """Wait for some seconds; cancellable."""
        ...


class SystemClock:
    """The clock and randomness of the system."""

    time = staticmethod(_time.time)
    monotonic = staticmethod(_time.monotonic)
    random = staticmethod(_random.random)
    sleep = staticmethod(anyio.sleep)


SYSTEM_CLOCK: Clock = SystemClock()
