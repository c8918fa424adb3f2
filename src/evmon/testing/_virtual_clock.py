"""`VirtualClock`: a clock that a test moves forward."""

import asyncio
import itertools
import time as _time
from collections.abc import Callable
from typing import Final

from evmon.errors import ConfigError

_TURNS: Final = 50
"""Turns of the event loop in which tasks that wait for nothing come to their end."""


class VirtualClock:
    """A clock that runs like the system's, and that a test moves forward.

    Retries and timeouts of a bus that has it end when the clock is moved past them, so
    waiting for them takes no real time. `settled` moves it by itself. Code that does not
    use the clock, such as ``asyncio.sleep`` in a handler, takes its real time.

    Jitter is left out: ``random()`` is 1, so each delay is that of the `RetryPolicy`.

    Example:
        >>> clock = VirtualClock()
        >>> bus = EventBus(clock=clock)
        >>> async with bus:
        ...     await bus.publish("order.created")  # its handler raises RetryLater(3600)
        ...     await clock.advance(3600)  # now it was called again
    """

    def __init__(self) -> None:
        self._ahead = 0.0
        self._timers: dict[int, _Timer] = {}
        self._numbers = itertools.count()

    def time(self) -> float:
        """Seconds since the Unix epoch.

        Returns:
            The time of the system, plus what the clock was moved by.
        """
        return _time.time() + self._ahead

    def monotonic(self) -> float:
        """Monotonic seconds.

        Returns:
            Those of the system, plus what the clock was moved by.
        """
        return _time.monotonic() + self._ahead

    def random(self) -> float:
        """The factor of jitter.

        Returns:
            Always 1.
        """
        return 1.0

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock is this much later.

        Args:
            seconds: seconds of this clock.
        """
        await self._wait(seconds, periodic=False)

    async def interval(self, seconds: float) -> None:
        """Wait between two runs of a periodic task, such as the checks of the monitor.

        Args:
            seconds: seconds of this clock. If `advance` moves it by more, the task still
                runs once.
        """
        await self._wait(seconds, periodic=True)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> "_Timer":
        """Call a function when the clock is this much later.

        Args:
            seconds: seconds of this clock.
            callback: function without arguments, called on the running event loop.

        Returns:
            A timer, with a method ``cancel()``.
        """
        return self._set_timer(seconds, callback, periodic=False)

    async def advance(self, seconds: float) -> None:
        """Move the clock forward, and let what is due on the way happen in order.

        Handlers that are coroutines run until they wait for something else than the
        clock; await `settled` to wait for all.

        Args:
            seconds: seconds to move by, 0 or more.

        Raises:
            ConfigError: the number of seconds is negative.

        Example:
            >>> await clock.advance(3600)
        """
        if not seconds >= 0:
            raise ConfigError(f"advance({seconds!r:.80}): must be seconds, 0 or more")
        await let_tasks_run()
        await self._advance_to(self.monotonic() + seconds)

    async def advance_to_next_timer(self) -> bool:
        """Move the clock to what is due next.

        Returns:
            Whether there was anything.

        Example:
            >>> await clock.advance_to_next_timer()
            True
        """
        timer = self._next_timer()
        if timer is None:
            return False
        await self._advance_to(timer.due)
        return True

    async def _advance_to(self, end: float) -> None:
        while (timer := self._next_timer()) is not None and timer.due <= end:
            await self._move_to(timer.due, [timer])
        periodic = [timer for timer in self._timers.values() if timer.due <= end]
        self._ahead += max(end - self.monotonic(), 0.0)
        if periodic:
            await self._move_to(end, periodic)

    def _next_timer(self) -> "_Timer | None":
        timers = (timer for timer in self._timers.values() if not timer.periodic)
        return min(timers, key=lambda timer: timer.due, default=None)

    async def _move_to(self, instant: float, due: "list[_Timer]") -> None:
        self._ahead += max(instant - self.monotonic(), 0.0)
        for timer in due:
            timer.fire()
        await let_tasks_run()

    async def _wait(self, seconds: float, *, periodic: bool) -> None:
        woken = asyncio.Event()
        timer = self._set_timer(seconds, woken.set, periodic=periodic)
        try:
            await woken.wait()
        finally:
            timer.cancel()

    def _set_timer(
        self, seconds: float, callback: Callable[[], object], *, periodic: bool
    ) -> "_Timer":
        number = next(self._numbers)
        timer = _Timer(
            self.monotonic() + seconds, periodic, callback, lambda: self._forget(number)
        )
        self._timers[number] = timer
        timer.in_real_time = asyncio.get_running_loop().call_later(seconds, timer.fire)
        return timer

    def _forget(self, number: int) -> None:
        self._timers.pop(number, None)


class _Timer:
    """A callback that is called once: by its clock, or in real time."""

    in_real_time: asyncio.TimerHandle

    def __init__(
        self,
        due: float,
        periodic: bool,  # noqa: FBT001 - private
        callback: Callable[[], object],
        forget: Callable[[], None],
    ) -> None:
        self.due = due
        self.periodic = periodic
        self._callback: Callable[[], object] | None = callback
        self._forget = forget

    def fire(self) -> None:
        """Call the callback, if it was neither called nor cancelled."""
        callback = self._callback
        self.cancel()
        if callback is not None:
            callback()

    def cancel(self) -> None:
        """Do not call the callback."""
        self._callback = None
        self.in_real_time.cancel()
        self._forget()


async def let_tasks_run() -> None:
    """Run every task that waits for nothing."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
