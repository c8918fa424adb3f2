"""Running as a standalone service: until a signal or a failure."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Protocol

from evmon._bus.bounded_exit import BOUNDED_EXIT, Draining
from evmon._bus.signals import SHUTDOWN
from evmon.errors import BusStateError


class Service(AbstractAsyncContextManager[Any], Protocol):
    """A context manager that starts on entry and drains on exit."""

    async def wait(self) -> None:
        """Wait until it has stopped by itself."""
        ...


def check_can_run() -> None:
    """Check that an event loop with signal handlers can be started here.

    Raises:
        BusStateError: this is not the main thread, or it runs an event loop.
    """
    if threading.current_thread() is not threading.main_thread():
        raise BusStateError("run() handles signals: call it from the main thread")
    if in_event_loop():
        raise BusStateError(
            "run() starts an event loop; within one, use await bus.serve()"
        )


def in_event_loop() -> bool:
    """Whether an event loop runs in this thread; a blocking call would stop it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def run_until_signal(service: Service, draining: Draining) -> None:
    """Run a service, on uvloop if it is installed.

    The first SIGINT or SIGTERM drains it, a second one ends the process at once.

    Args:
        service: service to run.
        draining: what its end depends on.
    """
    with BOUNDED_EXIT.watch(Draining(0.0)):
        # Outside of any `except`, which would become the context of handler errors.
        _runner()(_serve_and_end(service, draining))


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


async def _serve_and_end(service: Service, draining: Draining) -> None:
    try:
        await serve_until_signal(service, draining)
    finally:
        # The loop waits for all tasks when it is closed, also for those of handlers.
        BOUNDED_EXIT.start_countdown()


async def serve_until_signal(service: Service, draining: Draining = Draining()) -> None:
    """Run a service on the current event loop: start, wait for a signal, drain.

    Args:
        service: service to run.
        draining: what its end depends on.

    Raises:
        BusStateError: this is not the main thread.
    """
    with BOUNDED_EXIT.watch(draining), SHUTDOWN.requested() as stop:
        async with AsyncExitStack() as stack:
            # Handle signals during startup too: it may be waiting for a server.
            await _first(stack.enter_async_context(service), stop.wait())
            if not stop.is_set():
                await _first(service.wait(), stop.wait())


async def _first(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Wait until one is done and cancel the others; propagates an error."""
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
