"""The circuit breaker: stops reading events while nearly all handler calls fail."""

import logging
from math import inf
from typing import Final

from evmon._clock import Clock

MAX_PAUSE: Final = 60.0
"""Maximum pause in seconds; it doubles with each failed trial call."""

_MIN_WAIT: Final = 0.05
"""Least seconds between checks of whether a trial call is due."""

_log = logging.getLogger("evmon.consumer")


class Breaker:
    """Decides whether handlers may be called, from the outcome of recent calls.

    *Closed*, it lets every call through and evaluates them in blocks of `calls`: it
    opens when `limit_percent` of a block failed. *Open*, nothing is read and retries
    wait without using up attempts. After a pause it lets one trial call through
    (half-open): if that succeeds the breaker closes, otherwise the pause doubles.

    Args:
        limit_percent: share of failed calls that opens it; None never opens it.
        calls: number of calls evaluated together.
        pause: seconds of the first pause.
        clock: source of time.
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
        self._in_trial = False
        self._waiting = 0

    @property
    def is_open(self) -> bool:
        """Whether calls are blocked."""
        return self._open_until is not None

    def seconds_to_trial(self) -> float:
        """The time until the next trial call is due; 0 when closed."""
        if self._open_until is None:
            return 0.0
        return max(self._open_until - self._clock.monotonic(), _MIN_WAIT)

    def may_read(self) -> bool:
        """Whether to read: while open, one event as a trial if no retry is waiting."""
        return self._open_until is None or (not self._waiting and self._start_trial())

    def trial_read_was_empty(self) -> None:
        """The trial read returned no event: the next read is the trial."""
        if self._in_trial and not self._waiting:
            self._in_trial = False
            self._open_until = self._clock.monotonic()

    async def wait_to_retry(self) -> None:
        """Wait until a retry may run."""
        self._waiting += 1
        try:
            while self._open_until is not None and not self._start_trial():
                await self._clock.sleep(self.seconds_to_trial())
        finally:
            self._waiting -= 1

    def succeeded(self) -> None:
        """Record a successful call."""
        self._calls += 1
        if self._in_trial:
            self._open_until = None
            self._in_trial = False
            self._pause = self._first_pause
            self._calls = self._failures = 0
            _log.info("a handler succeeded again: reading resumed")
        elif self._calls >= self._size:
            self._evaluate()

    def failed(self) -> None:
        """Record a failed call that is not the fault of the event."""
        self._calls += 1
        self._failures += 1
        if self._in_trial:
            self._pause = min(self._pause * 2, MAX_PAUSE)
            self._open()
        elif self._calls >= self._size:
            self._evaluate()

    def _evaluate(self) -> None:
        too_many = self._failures and self._failures >= self._limit
        if too_many and self._open_until is None:
            _log.warning(
                "%d of the last %d handler calls failed: reading is paused for %g s",
                self._failures,
                self._calls,
                self._pause,
            )
            self._open()
        self._calls = self._failures = 0

    def _open(self) -> None:
        self._in_trial = False
        self._open_until = self._clock.monotonic() + self._pause

    def _start_trial(self) -> bool:
        now = self._clock.monotonic()
        if self._open_until is None or now < self._open_until:
            return False
        # If the trial has no outcome, another one follows after a pause.
        self._open_until = now + self._pause
        self._in_trial = True
        return True
