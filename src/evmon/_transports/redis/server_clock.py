"""The server's clock, and the steps by which it is set."""

import logging
from dataclasses import dataclass
from typing import Any, Final

from evmon._clock import Clock
from evmon._transports.redis import scripts
from evmon._transports.redis.client import Client
from evmon._transports.redis.keys import Keys

TOLERANCE: Final = 1.0
"""Seconds by which clocks may differ for other reasons, besides the time of a reply."""

_KNOWN: Final = 100
"""An age is known again when it is so many times the step that it is wrong by."""

_log = logging.getLogger("evmon.transport")


@dataclass(frozen=True, slots=True)
class _Reading:
    """One reading of the server's clock.

    Attributes:
        time: Unix time of the server.
        set_by: seconds by which it was set so far.
        at: monotonic time of this process in the middle of the call.
        took: seconds that the call took.
        ahead: seconds by which this process's clock is ahead of its monotonic one.
    """

    time: float
    set_by: float
    at: float
    took: float
    ahead: float


class ServerClock:
    """Compares the server's clock with the monotonic clock of this process.

    Args:
        clock: clocks of this process.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: _Reading | None = None
        self._step = 0.0
        self._wrong_to = 0.0

    def time(self) -> float:
        """Unix time of the server, also while this process's clock is set."""
        if self._last is None:
            return self._clock.time()
        return self._last.time + self._clock.monotonic() - self._last.at

    def is_age_known(self, since: float, now: float) -> bool:
        """Whether the age of an entry is right, or nearly.

        Args:
            since: time in the entry's id.
            now: current time of the server.
        """
        return since > self._wrong_to or now - since > _KNOWN * abs(self._step)

    async def check(self, client: Client, keys: Keys) -> bool:
        """Read the server's clock; if it was set, move the retry schedule with it.

        Returns:
            Whether it was set back, so that leases must start anew.

        Raises:
            TransportError: the server cannot be reached, or refuses.
        """
        last = self._last
        reading, seen = await self._read(client, keys, 0.0, 0.0)
        step = reading.set_by - last.set_by if last else 0.0
        if not step:
            step = self._step_of(reading, seen)
            if step:
                reading, _ = await self._read(client, keys, reading.set_by, step)
        if step:
            _log.warning(
                "the server's clock was set by %+.1f s: scheduled retries were moved with"
                " it, and ages are unknown until they are right again",
                step,
            )
        if last and abs(reading.ahead - last.ahead) > TOLERANCE:
            _log.warning(
                "the clock of this process was set by %+.1f s",
                reading.ahead - last.ahead,
            )
        self._last = reading
        return step < 0

    async def _read(
        self, client: Client, keys: Keys, set_by: float, step: float
    ) -> tuple[_Reading, float]:
        """Read the clock and record a step; returns also the greatest time seen."""
        before = self._clock.monotonic()
        args = (round(set_by * 1000), round(step * 1000))
        reply: Any = await client.eval(scripts.CLOCK, (keys.clock, keys.retry), args)
        after = self._clock.monotonic()
        now, known, seen, self._step, self._wrong_to = (ms / 1000 for ms in reply)
        ahead = self._clock.time() - after
        return _Reading(now, known, (before + after) / 2, after - before, ahead), seen

    def _step_of(self, reading: _Reading, seen: float) -> float:
        """Seconds by which the clock was set since the last reading; 0 if it was not.

        Args:
            reading: this reading.
            seen: greatest time that any process had seen, without what it was set by.
        """
        time, last = reading.time - reading.set_by, self._last
        if last is None:
            return time - seen if seen - time > TOLERANCE else 0.0
        expected = last.time - last.set_by + reading.at - last.at
        tolerance = TOLERANCE + reading.took + last.took
        # If others saw the time pass, it is this process that stood still.
        if abs(time - expected) <= tolerance or seen - expected > tolerance:
            return 0.0
        return time - expected
