"""The end of a process: within a bound, whatever its threads and event loops do."""

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from evmon._settings.configs import ConsumerConfig
from evmon._telemetry.provider import flush_application_metrics
from evmon._text import one_line
from evmon.errors import EXIT_UNFINISHED

EXIT_GRACE: Final = 4.0
"""Seconds after the drain timeout at which such a process is ended."""

_FLUSH_WITHIN: Final = 2.0

_log = logging.getLogger("evmon.bus")


@dataclass(frozen=True, slots=True, eq=False)
class Draining:
    """What the end of a service depends on.

    Attributes:
        timeout: seconds that its handlers have to finish.
        unfinished: names of handlers and providers that run; called in any thread.
    """

    timeout: float = ConsumerConfig().drain_timeout
    unfinished: Callable[[], Sequence[str]] = list


class BoundedExit:
    """Ends the process with `EXIT_UNFINISHED` if its services do not let it end.

    A thread that never returns, or a coroutine that swallows its cancellation, would
    otherwise keep the interpreter waiting for ever.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget the services: those of the parent, after a fork."""
        self._serving: list[Draining] = []
        self._left: list[Draining] = []
        self._timer: _Timer | None = None

    @contextmanager
    def of(self, service: Draining) -> Iterator[None]:
        """While a service runs, `begin` bounds its end.

        Afterwards the process is still ended if a handler of the service goes on.
        """
        if not self._serving:
            self._cancel()
            self._timer = _Timer(self._expired)
        self._serving.append(service)
        try:
            yield
        finally:
            self._serving.remove(service)
            if service.unfinished():
                self._left.append(service)
            if not self._serving and not self._left:
                self._cancel()
            elif not self._serving:
                self.begin()

    def begin(self) -> None:
        """End the process after the longest drain timeout; for signal handlers too."""
        if self._timer is not None:
            longest = max((service.timeout for service in self._serving), default=0.0)
            self._timer.start(longest + EXIT_GRACE)

    def _cancel(self) -> None:
        self._left.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        """End the process, unless what was left behind has ended meanwhile."""
        services = [*self._serving, *self._left]
        names = [name for service in services for name in service.unfinished()]
        if not names and not self._serving:
            return
        # Logging may wait for a lock that a thread holds, and streams for their reader.
        speaking = threading.Thread(target=_last_words, args=(names,), daemon=True)
        speaking.start()
        speaking.join(_FLUSH_WITHIN)
        os._exit(EXIT_UNFINISHED)


class _Timer:
    """Calls a function in a thread at a deadline, which is set once."""

    def __init__(self, expired: Callable[[], None]) -> None:
        self._expired = expired
        # Unlike an Event, its `put` may interrupt itself: signal handlers use it.
        self._deadlines: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        threading.Thread(target=self._wait, name="evmon-exit", daemon=True).start()

    def start(self, seconds: float) -> None:
        """Set the deadline, if it is not set."""
        self._deadlines.put(time.monotonic() + seconds)

    def cancel(self) -> None:
        """End the thread."""
        self._deadlines.put(None)

    def _wait(self) -> None:
        deadline = self._deadlines.get()
        while deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                self._expired()
                return
            try:
                other = self._deadlines.get(timeout=min(left, threading.TIMEOUT_MAX))
            except queue.Empty:
                continue
            deadline = None if other is None else min(deadline, other)


def _last_words(names: Sequence[str]) -> None:
    _log.critical(
        "the process ends with exit code %d: it did not stop within the drain timeout;"
        " still running: %s",
        EXIT_UNFINISHED,
        one_line(", ".join(sorted(set(names))) or "no handler"),
    )
    flush_application_metrics(_FLUSH_WITHIN / 2)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


BOUNDED_EXIT: Final = BoundedExit()
"""The one of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=BOUNDED_EXIT.forget)
