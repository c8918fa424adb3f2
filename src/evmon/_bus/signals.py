"""SIGINT and SIGTERM: received once for all services that a process runs."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from evmon._bus import allocations
from evmon.errors import BusStateError

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Shutdown:
    """Passes the first signal to every service; a second one ends the process.

    It takes over the signals when the first service enters, and returns them to their
    earlier handlers when the last one leaves.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget the services: those of the parent, after a fork."""
        self._stops: list[asyncio.Event] = []
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
        loop = asyncio.get_running_loop()
        if not self._stops:
            self._take_over(loop)
        self._stops.append(stop)
        if self._signalled:
            stop.set()
        try:
            yield stop
        finally:
            self._stops.remove(stop)
            if not self._stops:
                self._give_back(loop)

    def _take_over(self, loop: asyncio.AbstractEventLoop) -> None:
        self._signalled = False
        for number in SIGNALS:
            self._earlier[number] = signal.getsignal(number)
            loop.add_signal_handler(number, self._on_signal, number)
        allocations.listen()

    def _give_back(self, loop: asyncio.AbstractEventLoop) -> None:
        allocations.end()
        for number, handler in self._earlier.items():
            loop.remove_signal_handler(number)
            if handler is not None:  # it was set by Python code
                signal.signal(number, handler)

    def _on_signal(self, number: int) -> None:
        if self._signalled:
            os._exit(128 + number)
        self._signalled = True
        for stop in self._stops:
            stop.set()


SHUTDOWN: Final = Shutdown()
"""The one of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SHUTDOWN.forget)
