"""A service on its own: runs until a signal comes, or until it falls."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final, Protocol

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Service(AbstractAsyncContextManager[Any], Protocol):
    """What starts when it is entered, and stops in order when it is left."""

    async def wait(self) -> None:
        """Wait until it stops by itself."""
        ...


def run_until_signal(service: Service) -> None:
    """Run a service, on uvloop if that is installed.

    The first SIGINT or SIGTERM stops it in order, a second one ends the process at once.
    """
    # Outside of any `except`: every error of a handler would name it as its context.
    _runner()(serve_until_signal(service))


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


async def serve_until_signal(service: Service) -> None:
    """The same on the loop that runs: start, wait for a signal, stop in order."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        async with AsyncExitStack() as stack:
            # A signal is heard while the service starts too: it may wait for a server.
            await _first(stack.enter_async_context(service), stop.wait())
            if not stop.is_set():
                await _first(service.wait(), stop.wait())
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _first(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Wait until one of them is done, and cancel the others; raises what one raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
