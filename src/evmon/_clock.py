"""Time and randomness, which tests replace."""

import asyncio
import random as _random
import time as _time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import anyio


class Timer(Protocol):
    """A callback that is called later."""

    def cancel(self) -> None:
        """Do not call it, if it was not called yet."""
        ...


class Clock(Protocol):
    """Source of time and randomness, for ``EventBus(clock=...)``.

    A bus takes the delays of its retries and its timeouts from the clock. Tests use
    `evmon.testing.VirtualClock`.
    """

    def time(self) -> float:
        """Seconds since the Unix epoch; thread-safe."""
        ...

    def monotonic(self) -> float:
        """Monotonic seconds; only differences are meaningful; thread-safe."""
        ...

    def random(self) -> float:
        """A number from 0 to 1, for jitter."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds; cancellable."""
        ...

    async def interval(self, seconds: float) -> None:
        """Wait between two runs of a periodic task; cancellable.

        A clock that is moved past several runs may make up for them by one.
        """
        ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call a function on the running event loop after some seconds."""
        ...


class SystemClock:
    """The clock and randomness of the system."""

    time = staticmethod(_time.time)
    monotonic = staticmethod(_time.monotonic)
    random = staticmethod(_random.random)
    sleep = interval = staticmethod(anyio.sleep)

    @staticmethod
    def call_later(seconds: float, callback: Callable[[], object]) -> Timer:
        """Call a function on the running event loop after some seconds."""
        return asyncio.get_running_loop().call_later(seconds, callback)


SYSTEM_CLOCK: Clock = SystemClock()


@contextmanager
def move_on_after(clock: Clock, seconds: float) -> Iterator[anyio.CancelScope]:
    """Cancel the block after some seconds of a clock, as anyio's `move_on_after`."""
    with anyio.CancelScope() as scope:
        timer = clock.call_later(seconds, scope.cancel)
        try:
            yield scope
        finally:
            timer.cancel()
