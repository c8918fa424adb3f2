"""Health: is the process alive, and is it ready for work? Two questions, two answers."""

import logging
from typing import Final

from evmon._clock import Clock
from evmon._telemetry.exposition import Health
from evmon._telemetry.instruments import CONSUMER_READY
from evmon._telemetry.meter import Meter
from evmon._transports.base import Transport

HEARTBEAT: Final = 1.0
"""Seconds between two signs of life of the event loop."""

ALIVE_FOR: Final = 30.0
"""Seconds without one after which the process is taken for stuck."""

_log = logging.getLogger("evmon.bus")


class HealthChecks:
    """Answers ``/livez`` and ``/readyz``; from any thread.

    Liveness is the event loop's heartbeat alone: were Redis part of it, an outage of
    Redis would restart every process that could go on afterwards.

    Args:
        transport: is asked what troubles it.
        meter: binds the gauge.
        clock: time.
    """

    def __init__(self, transport: Transport, meter: Meter, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._show = meter.bind(CONSUMER_READY)
        self._beat = clock.monotonic()
        self._state = "starting"
        self._trouble = ""
        self._show(0)

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self._beat = self._clock.monotonic()
            self._look()
            await self._clock.sleep(HEARTBEAT)

    def started(self) -> None:
        """All parts run."""
        self._state = ""
        self._look()

    def draining(self) -> None:
        """The bus stops: nobody should send it anything new."""
        self._state = "draining"
        self._look()

    def livez(self) -> Health:
        """Whether the event loop turns."""
        silent = self._clock.monotonic() - self._beat
        if silent > ALIVE_FOR:
            return Health(
                ok=False, detail=f"the event loop is stuck for {silent:.0f} s"
            )
        return Health(ok=True, detail="alive")

    def readyz(self) -> Health:
        """Whether events are taken and handled."""
        reason = self._state or self._transport.trouble
        if reason:
            return Health(ok=False, detail=reason)
        return Health(ok=True, detail="ready")

    def _look(self) -> None:
        trouble = self._state or self._transport.trouble
        if trouble != self._trouble:
            _log.info("not ready: %s" if trouble else "ready%s", trouble)
        self._trouble = trouble
        self._show(0 if trouble else 1)
