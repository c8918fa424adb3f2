"""The circuit breaker: when nearly everything fails, events are better left unread."""

import logging
from math import inf
from typing import Final

from evmon._clock import Clock

MAX_PAUSE: Final = 60.0
"""Seconds that a pause grows to at the most, doubling with each try that fails."""

_POLL: Final = 0.05

_log = logging.getLogger("evmon.consumer")


class Breaker:
    """Decides whether handlers are called, by how their last calls went.

    *Closed*, it lets everything through and looks at every `calls` calls: when
    `limit_percent` of them failed it opens. *Open*, nothing is read and retries wait;
    no attempt is burnt. After a pause one call is let through as a try: if it succeeds
    the breaker closes, otherwise it stays open for twice as long.

    Args:
        limit_percent: share of failed calls that opens it; None never does.
        calls: how many are looked at together.
        pause: seconds that it stays open at first.
        clock: time.
    """

    def __init__(
        self, limit_percent: float | None, calls: int, pause: float, clock: Clock
    ) -> None:
        self._limit = inf if limit_percent is None else calls * limit_percent / 100
        self._size = calls
        self._first_pause = self._pause = pause
        self._clock = clock
        self._calls = 0
        self._failures = 0
        self._open_until: float | None = None
        self._trying = False
        self._waiting = 0

    @property
    def is_open(self) -> bool:
        """Whether calls are held back."""
        return self._open_until is not None

    def wait(self) -> float:
        """Seconds until the next look is worth it; 0 when it is closed."""
        if self._open_until is None:
            return 0.0
        return max(self._open_until - self._clock.monotonic(), _POLL)

    def may_read(self) -> bool:
        """Whether to read; one event, while it is open. A retry is the better try."""
        return self._open_until is None or (not self._waiting and self._start_try())

    def nothing_to_try(self) -> None:
        """A read brought nothing: the next one is the try."""
        if self._trying and not self._waiting:
            self._trying = False
            self._open_until = self._clock.monotonic()

    async def admit(self) -> None:
        """Wait until a retry may be made."""
        self._waiting += 1
        try:
            while self._open_until is not None and not self._start_try():
                await self._clock.sleep(self.wait())
        finally:
            self._waiting -= 1

    def succeeded(self) -> None:
        """A call did not fail."""
        self._calls += 1
        if self._trying:
            self._open_until = None
            self._trying = False
            self._pause = self._first_pause
            self._calls = self._failures = 0
            _log.info("a handler succeeded again: reading goes on")
        elif self._calls >= self._size:
            self._look()

    def failed(self) -> None:
        """A call failed, in a way that is not the event's own fault."""
        self._calls += 1
        self._failures += 1
        if self._trying:
            self._pause = min(self._pause * 2, MAX_PAUSE)
            self._open()
        elif self._calls >= self._size:
            self._look()

    def _look(self) -> None:
        too_many = self._failures and self._failures >= self._limit
        if too_many and self._open_until is None:
            _log.warning(
                "%d of the last %d handler calls failed: reading pauses",
                self._failures,
                self._calls,
            )
            self._open()
        self._calls = self._failures = 0

    def _open(self) -> None:
        self._trying = False
        self._open_until = self._clock.monotonic() + self._pause

    def _start_try(self) -> bool:
        now = self._clock.monotonic()
        if self._open_until is None or now < self._open_until:
            return False
        # If nothing comes of this try, another one follows after a pause.
        self._open_until = now + self._pause
        self._trying = True
        return True
