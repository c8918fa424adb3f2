"""Forces the process to exit in time if handlers, threads or event loops hang."""

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
"""Seconds after the drain timeout at which the process is forced to exit."""

_REPORT_WITHIN: Final = 2.0
"""Seconds for the last log record and for flushing, before the process ends."""

_log = logging.getLogger("evmon.bus")


@dataclass(frozen=True, slots=True, eq=False)
class Draining:
    """How long a service may drain, and what still runs in it.

    Attributes:
        timeout: seconds that its handlers have to finish.
        unfinished: function that returns the names of handlers and providers that still
            run; called in any thread. By default nothing does.
    """

    timeout: float = ConsumerConfig().drain_timeout
    unfinished: Callable[[], Sequence[str]] = list


class BoundedExit:
    """Ends the process with `EXIT_UNFINISHED` if its services do not stop in time.

    A thread that never returns, or a coroutine that swallows its cancellation, would
    otherwise keep the interpreter waiting for ever.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget all services; called after a fork, in the child."""
        self._serving: list[Draining] = []
        self._abandoned: list[Draining] = []
        self._timer: _Timer | None = None

    @contextmanager
    def watch(self, service: Draining) -> Iterator[None]:
        """Watch a service; if handlers still run at its end, the countdown starts."""
        if not self._serving:
            self._cancel()
            self._timer = _Timer(self._expired)
        self._serving.append(service)
        try:
            yield
        finally:
            self._serving.remove(service)
            ended = (*self._abandoned, service)
            self._abandoned = [other for other in ended if other.unfinished()]
            if not self._serving and not self._abandoned:
                self._cancel()
            elif not self._serving:
                self.start_countdown()

    def start_countdown(self) -> None:
        """Start the countdown: the longest drain timeout and `EXIT_GRACE`.

        It may be called by a signal handler; without a service it has no effect.
        """
        if self._timer is not None:
            longest = max((service.timeout for service in self._serving), default=0.0)
            self._timer.start(longest + EXIT_GRACE)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        """End the process, unless no service is left and no handler still runs."""
        services = [*self._serving, *self._abandoned]
        names = [name for service in services for name in service.unfinished()]
        if not names and not self._serving:
            return
        # In a thread: logging may wait for a lock, and flushing for the reader of a pipe.
        reporter = threading.Thread(target=_report, args=(names,), daemon=True)
        reporter.start()
        reporter.join(_REPORT_WITHIN)
        os._exit(EXIT_UNFINISHED)


class _Timer:
    """Calls a function in a thread at a deadline, which can only be brought forward."""

    def __init__(self, expired: Callable[[], None]) -> None:
        self._expired = expired
        # Its `put` is reentrant, so a signal handler can call it; `Event.set` is not.
        self._deadlines: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        threading.Thread(target=self._wait, name="evmon-exit", daemon=True).start()

    def start(self, seconds: float) -> None:
        """Set the deadline, or bring it forward; a later one has no effect."""
        self._deadlines.put(time.monotonic() + seconds)

    def cancel(self) -> None:
        """Stop the timer."""
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


def _report(names: Sequence[str]) -> None:
    _log.critical(
        "forcing the process to exit with code %d: it did not stop within the drain"
        " timeout; still running: %s",
        EXIT_UNFINISHED,
        one_line(", ".join(sorted(set(names))) or "no handler"),
    )
    flush_application_metrics(_REPORT_WITHIN / 2)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


BOUNDED_EXIT: Final = BoundedExit()
"""The instance of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=BOUNDED_EXIT.forget)
