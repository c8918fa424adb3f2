"""Threads in which user code runs; a thread cannot be cancelled."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")
S = TypeVar("S")


class Threads(Generic[S]):
    """Runs calls in threads, and knows which of them have not returned.

    Args:
        limit: maximum number of calls that are awaited at the same time; None takes the
            limit of anyio.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limiter = None if limit is None else anyio.CapacityLimiter(limit)
        self._subjects: dict[int, S] = {}

    @property
    def running(self) -> list[S]:
        """Subjects of the calls that have not returned, awaited or not; thread-safe."""
        return list(self._subjects.values())

    async def run(self, subject: S, call: Callable[[], T]) -> T:
        """Run a call in a thread; a cancellation leaves it behind.

        Args:
            subject: what the call is about, for the log.
            call: call without arguments.

        Raises:
            BaseException: any error that the call raises.
        """

        def recorded() -> T:
            thread = threading.get_ident()
            self._subjects[thread] = subject
            try:
                return call()
            finally:
                del self._subjects[thread]

        return await anyio.to_thread.run_sync(
            recorded, abandon_on_cancel=True, limiter=self._limiter
        )
