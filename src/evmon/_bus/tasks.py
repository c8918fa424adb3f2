"""Small parts of running and ending the tasks of a bus."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import anyio

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup


async def and_then(run: Callable[[], Awaitable[None]], done: asyncio.Event) -> None:
    """Run, then set an event; not if it fails."""
    await run()
    done.set()


async def in_scope(
    scope: anyio.CancelScope, run: Callable[[], Awaitable[None]]
) -> None:
    """Run within a scope that ends it alone."""
    with scope:
        await run()


def innermost(error: BaseException | None) -> BaseException | None:
    """Unwrap exception groups that hold a single error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
