"""Threads in which user code runs; a thread cannot be cancelled."""

import threading
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")


class Threads:
    """Runs calls in threads, and knows which of them have not returned.

    Args:
        limit: maximum number of calls that are awaited at the same time; None takes the
            limit of anyio.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limiter = None if limit is None else anyio.CapacityLimiter(limit)
        self._names: dict[int, str] = {}

    @property
    def running(self) -> list[str]:
        """Names of the calls that have not returned, awaited or not; thread-safe."""
        return list(self._names.values())

    async def run(self, name: str, call: Callable[[], T]) -> T:
        """Run a call in a thread; a cancellation leaves it behind.

        Args:
            name: name of the call, for the log.
            call: call without arguments.

        Raises:
            BaseException: any error that the call raises.
        """

        def named() -> T:
            thread = threading.get_ident()
            self._names[thread] = name
            try:
                return call()
            finally:
                del self._names[thread]

        return await anyio.to_thread.run_sync(
            named, abandon_on_cancel=True, limiter=self._limiter
        )
