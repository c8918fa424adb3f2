"""What travels in every benchmark, and the clock that times its consumers."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

TYPE: Final = "order.created"
STREAM: Final = "events"
GROUP: Final = "bench"
WARM: Final = 0.2
"""Share of the events after which the clock starts."""
LATENCY_WARM: Final = 0.05
"""Share of the events whose waits do not count."""


def payload(number: int) -> dict[str, Any]:
    """The data of an event: a small order."""
    return {"id": number, "customer": "c-4711", "total": 12.5, "items": [1, 2, 3]}


def payloads(count: int) -> Sequence[dict[str, Any]]:
    """The data of many events."""
    return [payload(number) for number in range(count)]


def p50_and_p99(waited: Sequence[float]) -> list[float]:
    """The seconds below which half, and 99 %, of the waits lie, once all is warm."""
    ordered = sorted(waited[int(len(waited) * LATENCY_WARM) :])
    return [ordered[int(len(ordered) * share)] for share in (0.5, 0.99)]


class Meter:
    """Counts what a consumer handles, and tells how many it were each second."""

    def __init__(self, count: int) -> None:
        self._first = int(count * WARM)
        self._count = count
        self._seen = 0
        self._started = 0.0
        self._ended = 0.0
        self.done = asyncio.Event()

    def seen(self) -> None:
        """One more event was handled."""
        self._seen += 1
        if self._seen == self._first:
            self._started = time.perf_counter()
        elif self._seen == self._count:
            self._ended = time.perf_counter()
            self.done.set()

    @property
    def rate(self) -> float:
        """Events a second."""
        return (self._count - self._first) / (self._ended - self._started)
