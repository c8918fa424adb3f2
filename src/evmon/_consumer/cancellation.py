"""Cancellation that handlers caused, which is not meant for the task they run on."""

import asyncio
from typing import Any


def has_pending_cancellation(task: "asyncio.Task[Any]") -> bool:
    """Whether the task will be cancelled at its next await."""
    return getattr(task, "_must_cancel", False)


def forget_cancellation(task: "asyncio.Task[Any]") -> None:
    """Undo requests to cancel the task that it has received (Python 3.11)."""
    while getattr(task, "cancelling", int)():
        task.uncancel()  # type: ignore[attr-defined,unused-ignore]


async def absorb_cancellation(task: "asyncio.Task[Any]") -> None:
    """Receive a pending cancellation of the current task, and forget it."""
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        forget_cancellation(task)
