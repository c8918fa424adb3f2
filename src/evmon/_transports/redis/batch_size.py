"""How many events one command carries, so that it arrives in time on a slow link."""

from collections.abc import Sequence
from math import inf
from typing import Final

MAX_BYTES: Final = 256 * 1024
"""Bytes of events in one command or reply, unless one event is larger."""

GROW_AFTER: Final = 4
"""Batches that arrive before larger ones are tried, as these may fail."""

_WEIGHT: Final = 0.5
"""Weight of the newest batch in the average size of an event."""


class BatchSize:
    """Limits batches by bytes and, after a failure, by number.

    A connection that is too slow for a batch fails as one that is broken does. So after
    each failure the number is halved, and after some full batches doubled.
    """

    def __init__(self) -> None:
        self._limit = inf
        self._average = 0.0
        self._last = 1
        self._arrived = 0

    def of(self, wanted: int) -> int:
        """How many events to ask for, of which the sizes are not known yet.

        Args:
            wanted: maximum number.
        """
        fitting = MAX_BYTES / self._average if self._average else inf
        self._last = max(int(min(wanted, self._limit, fitting)), 1)
        return self._last

    def fitting(self, sizes: Sequence[int]) -> int:
        """How many of the first events to send, at least one.

        Args:
            sizes: bytes of each event.
        """
        count = total = 0
        for size in sizes:
            total += size
            if count and (total > MAX_BYTES or count >= self._limit):
                break
            count += 1
        self._last = count
        return count

    def failed(self) -> None:
        """The last batch did not arrive in time."""
        self._limit = max(self._last // 2, 1)
        self._arrived = 0

    def arrived(self, sizes: Sequence[int]) -> None:
        """The last batch arrived.

        Args:
            sizes: bytes of each event.
        """
        if sizes:
            average = sum(sizes) / len(sizes)
            old = self._average or average
            self._average = (1 - _WEIGHT) * old + _WEIGHT * average
            self._arrived += len(sizes) >= self._limit
            if self._arrived >= GROW_AFTER:
                self._limit *= 2
                self._arrived = 0
