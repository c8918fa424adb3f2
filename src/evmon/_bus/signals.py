"""SIGINT and SIGTERM: received once for all services that a process runs."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from evmon._bus import memory_tracing
from evmon._bus.bounded_exit import BOUNDED_EXIT
from evmon.errors import BusStateError

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Shutdown:
    """Passes the first signal to every service; a second one ends the process.

    It takes over the signals when the first service enters, and returns them to their
    earlier handlers when the last one leaves. The handlers are not those of an event
    loop, because a loop that a handler blocks would never call them.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget the services: those of the parent, after a fork."""
        self._stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._earlier: dict[signal.Signals, Any] = {}
        self._signalled = False

    @contextmanager
    def requested(self) -> Iterator[asyncio.Event]:
        """An event that is set by the first signal, or at once if that has come.

        Raises:
            BusStateError: this is not the main thread, which alone receives signals.
        """
        if threading.current_thread() is not threading.main_thread():
            raise BusStateError(
                "serve() handles signals: call it from the main thread;"
                " in another one, use async with bus"
            )
        stop = asyncio.Event()
        entry = asyncio.get_running_loop(), stop
        if not self._stops:
            self._take_over()
        self._stops.append(entry)
        if self._signalled:
            stop.set()
        try:
            yield stop
        finally:
            self._stops.remove(entry)
            if not self._stops:
                self._give_back()

    def _take_over(self) -> None:
        self._signalled = False
        for number in SIGNALS:
            self._earlier[number] = signal.signal(number, self._on_signal)
        memory_tracing.listen()

    def _give_back(self) -> None:
        memory_tracing.end()
        for number, handler in self._earlier.items():
            # None was set by something else than Python, and cannot be set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._signalled:
            os._exit(128 + number)
        self._signalled = True
        BOUNDED_EXIT.start_countdown()
        for loop, stop in self._stops:
            loop.call_soon_threadsafe(stop.set)


SHUTDOWN: Final = Shutdown()
"""The one of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SHUTDOWN.forget)
