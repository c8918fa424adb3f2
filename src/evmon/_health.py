"""Health: is the process alive, and is it ready for work? Two questions, two answers."""

import asyncio
import logging
from typing import Final

from evmon._clock import Clock
from evmon._telemetry.exposition import Health
from evmon._telemetry.instruments import CONSUMER_READY, UPTIME
from evmon._telemetry.meter import Meter
from evmon._transports.base import Transport

ALIVE_FOR: Final = 30.0
"""Seconds without an answer after which the event loop is taken for stuck."""

_log = logging.getLogger("evmon.bus")


class HealthChecks:
    """Answers ``/livez`` and ``/readyz``; from any thread.

    Liveness is the event loop's alone: were Redis part of it, an outage of Redis would
    restart every process that could go on afterwards. Each look at it asks the loop for
    a sign, and reports whether the sign before it came: nothing beats when nobody looks.

    Args:
        transport: is asked what troubles it.
        meter: binds the gauge.
        clock: time.
    """

    def __init__(self, transport: Transport, meter: Meter, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._show = meter.bind(CONSUMER_READY)
        self._show_uptime = meter.bind(UPTIME)
        self._since = clock.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: float | None = None
        self._state = "starting"
        self._trouble = ""
        self._show(0)

    def started(self) -> None:
        """All parts run."""
        self._loop = asyncio.get_running_loop()
        self._state = ""
        self.look()

    def draining(self) -> None:
        """The bus stops: nobody should send it anything new."""
        self._state = "draining"
        self.look()

    def livez(self) -> Health:
        """Whether the event loop turns."""
        now = self._clock.monotonic()
        asked = self._asked
        if asked is not None and now - asked > ALIVE_FOR:
            return Health(
                ok=False, detail=f"the event loop is stuck for {now - asked:.0f} s"
            )
        if asked is None and self._loop is not None and not self._loop.is_closed():
            self._asked = now
            self._loop.call_soon_threadsafe(self._answer)
        return Health(ok=True, detail="alive")

    def readyz(self) -> Health:
        """Whether events are taken and handled."""
        reason = self._state or self._transport.trouble
        if reason:
            return Health(ok=False, detail=reason)
        return Health(ok=True, detail="ready")

    def look(self) -> None:
        """Show for how long it runs and whether it is ready; say when that changed."""
        self._show_uptime(self._clock.monotonic() - self._since)
        trouble = self._state or self._transport.trouble
        if trouble != self._trouble:
            _log.info("not ready: %s" if trouble else "ready%s", trouble)
        self._trouble = trouble
        self._show(0 if trouble else 1)

    def _answer(self) -> None:
        self._asked = None
