"""The events that all contenders publish and handle, and how their speed is measured."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.figures import percentile

TYPE: Final = "order.created"
STREAM: Final = "events"
GROUP: Final = "bench"
BATCH: Final = 1000
"""Events appended by one pipeline."""
WARM_UP_SHARE: Final = 0.2
"""Share of the events before the measurement of a rate starts."""
LATENCY_WARM_UP_SHARE: Final = 0.05
"""Share of the events whose latency is ignored."""


def payload(number: int) -> dict[str, Any]:
    """The data of an event: a small order."""
    return {"id": number, "customer": "c-4711", "total": 12.5, "items": [1, 2, 3]}


def payloads(count: int) -> Sequence[dict[str, Any]]:
    """The data of several events."""
    return [payload(number) for number in range(count)]


def p50_and_p99(latencies: Sequence[float]) -> list[float]:
    """The median and the 99th percentile after the warm-up."""
    warm = latencies[int(len(latencies) * LATENCY_WARM_UP_SHARE) :]
    return [percentile(warm, share) for share in (0.5, 0.99)]


class RateCounter:
    """Counts events and measures their rate after the warm-up.

    Args:
        count: number of events.
    """

    def __init__(self, count: int) -> None:
        self._first = int(count * WARM_UP_SHARE)
        self._count = count
        self._seen = 0
        self._started = 0.0
        self._ended = 0.0
        self.done = asyncio.Event()
        """Set when all events were counted."""

    def add(self) -> None:
        """Count one event."""
        self._seen += 1
        if self._seen == self._first:
            self._started = time.perf_counter()
        elif self._seen == self._count:
            self._ended = time.perf_counter()
            self.done.set()

    @property
    def rate(self) -> float:
        """Events per second."""
        return (self._count - self._first) / (self._ended - self._started)
