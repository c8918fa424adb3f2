"""The liveness and readiness checks."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from evmon._clock import Clock
from evmon._http.exposition import Health
from evmon._telemetry.instruments import CONSUMER_READY, UPTIME
from evmon._telemetry.meter import Meter
from evmon._transports.base import Transport

ALIVE_FOR: Final = 30.0
"""Seconds without a response after which the event loop counts as blocked."""

_STARTING: Final = "starting"

_log = logging.getLogger("evmon.bus")


class HealthChecks:
    """Answers ``/livez`` and ``/readyz``; thread-safe.

    Liveness depends on the event loop alone: if it included Redis, an outage of Redis
    would restart processes that could recover on their own. Each check schedules a
    callback on the loop and reports whether the previous one ran, so there is no
    heartbeat timer while nobody asks.

    Args:
        transport: transport that reports why it is not usable, if so.
        meter: meter that binds the gauges.
        clock: source of time.
        discovery_problem: function that names providers that failed, if any.
        began: function that returns when the counters of the bus began, given the current
            time; by default now.
    """

    def __init__(
        self,
        transport: Transport,
        meter: Meter,
        clock: Clock,
        *,
        discovery_problem: Callable[[], str] = lambda: "",
        began: Callable[[float], float] = lambda now: now,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._discovery_problem = discovery_problem
        self._set_ready = meter.bind(CONSUMER_READY)
        self._set_uptime = meter.bind(UPTIME)
        # On a provider of the application, counters outlive the bus that is restarted.
        self._started_at = began(clock.monotonic())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._probe_sent_at: float | None = None
        self._state = _STARTING
        self._problem = ""
        self._set_ready(0)

    def started(self) -> None:
        """Report readiness: all parts are running."""
        self._loop = asyncio.get_running_loop()
        self._state = ""
        self.update_gauges()

    def draining(self) -> None:
        """Report that the bus is stopping and takes no new work."""
        self._state = "draining"
        self.update_gauges()

    def stopped(self) -> None:
        """Report that the bus has stopped or failed."""
        self._state = self._problem = "stopped"
        self._set_ready(0)

    def livez(self) -> Health:
        """Whether the event loop responds."""
        silence = self._silence()
        if silence:
            detail = f"the event loop has not responded for {silence:.0f} s"
            return Health(ok=False, detail=detail)
        return Health(ok=True, detail="alive")

    def readyz(self) -> Health:
        """Whether events are accepted and handled; not while the loop is blocked."""
        reason = self._reason()
        return Health(ok=not reason, detail=reason or "ready")

    def update_gauges(self) -> None:
        """Update the uptime and readiness gauges; log a change of readiness."""
        self._set_uptime(self._clock.monotonic() - self._started_at)
        problem = self._reason()
        if problem != self._problem and self._state != _STARTING:
            _log.info("not ready: %s" if problem else "ready%s", problem)
            self._problem = problem
        self._set_ready(0 if problem else 1)

    def _reason(self) -> str:
        """Why events are not accepted and handled; empty if they are."""
        if self._state:
            return self._state
        if self._silence():
            return "the event loop does not respond"
        return self._transport.problem or self._discovery_problem()

    def _silence(self) -> float:
        """Seconds for which the event loop is blocked; 0 while it counts as running."""
        now = self._clock.monotonic()
        sent = self._probe_sent_at
        if sent is not None:
            return now - sent if now - sent > ALIVE_FOR else 0.0
        if self._loop is not None and not self._loop.is_closed():
            self._probe_sent_at = now
            self._loop.call_soon_threadsafe(self._probe_answered)
        return 0.0

    def _probe_answered(self) -> None:
        self._probe_sent_at = None
