"""Waiting for tasks and conditions in asynchronous tests."""

import asyncio
from collections.abc import Callable


async def eventually(condition: Callable[[], object], within: float = 5.0) -> None:
    """Wait until `condition()` is true; fail after `within` seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not true within {within} s")
        await asyncio.sleep(0.005)


async def let_tasks_run(rounds: int = 50) -> None:
    """Run every task that needs no time to pass, for `rounds` turns of the loop."""
    for _ in range(rounds):
        await asyncio.sleep(0)
