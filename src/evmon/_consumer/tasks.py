"""Tasks that call user code, which may refuse to be cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

CLEAN_UP_WITHIN: Final = 1.0
"""Seconds for a cancelled task to clean up, before it is cancelled a second time."""

END_WITHIN: Final = 0.1
"""Seconds for a task to end after its second cancellation, before it is abandoned."""


class Tasks:
    """Runs tasks without a task group, because a group waits until every task has ended.

    A group of anyio would also cancel a task that ignores it in a busy loop.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed = asyncio.Event()
        self._error: BaseException | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = error
            self._failed.set()

    async def raise_failure(self) -> None:
        """Wait for a task to fail, and raise its error; a cancelled task has not failed."""
        await self._failed.wait()
        assert self._error is not None  # noqa: S101 - for the type checker
        raise self._error

    async def end(self) -> None:
        """Cancel all tasks, at most twice; a task that still runs then is abandoned."""
        for seconds in (CLEAN_UP_WITHIN, END_WITHIN):
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=seconds)
