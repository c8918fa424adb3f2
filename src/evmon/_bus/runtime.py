"""The parts of a running bus, started and stopped in order."""

import asyncio
import functools
import logging
import math
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import anyio

from evmon._bus.endpoint import MetricsEndpoint
from evmon._bus.health import HealthChecks
from evmon._bus.registrations import Registrations
from evmon._bus.tasks import and_then, in_scope, innermost
from evmon._clock import Clock, move_on_after
from evmon._consumer.consumer import Consumer
from evmon._discovery.cache import MetadataCache
from evmon._discovery.discovery import Discovery
from evmon._handlers.handlers import HandlerSpec
from evmon._handlers.registry import Registry
from evmon._history import History
from evmon._http.exposition import Exposition, Routes
from evmon._log_fields import about_many
from evmon._monitor import Monitor
from evmon._publisher import Publisher
from evmon._retry import Retrier
from evmon._settings.configs import MetricsConfig
from evmon._settings.settings import Settings
from evmon._telemetry.instruments import DISCOVERY_HANDLERS
from evmon._telemetry.meter import Meter, NoMeter
from evmon._telemetry.provider import Telemetry
from evmon._telemetry.recorders import (
    ConsumeRecorder,
    DiscoveryRecorder,
    PublishRecorder,
    RetryRecorder,
)
from evmon._threads import Threads
from evmon._transports import open_transport
from evmon.errors import BusStateError

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

CLOSE_WITHIN: Final = 1.0
"""Seconds to close the metrics endpoint, and to shut down telemetry."""

_CANCELLED: Final = "the bus was cancelled before it was stopped"

_log = logging.getLogger("evmon.bus")


def make_discovery(
    settings: Settings, registry: Registry, meter: Meter, clock: Clock
) -> tuple[Discovery, MetadataCache[HandlerSpec]]:
    """Make a discovery and its cache, for a bus or a preview."""
    cache: MetadataCache[HandlerSpec] = MetadataCache(
        settings.discovery.cache_ttl_seconds, clock, meter
    )
    discovery = Discovery(
        registry,
        settings.discovery,
        cache=cache,
        policy=settings.retry,
        retrier=Retrier(clock, RetryRecorder(meter, "discovery")),
        recorder=DiscoveryRecorder(meter),
        clock=clock,
        slow_after=settings.thresholds.processing_warning_ms / 1000,
    )
    return discovery, cache


class Runtime:
    """The parts of a bus between start and stop.

    Args:
        settings: settings of the bus; ``metrics=None`` does not serve ``/metrics``.
        registry: registry of handlers; holds those added with `add_handler`.
        clock: source of time.
        history: history of a test, if it wants one.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        clock: Clock,
        history: History | None = None,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._clock = clock
        self._history = history
        self.telemetry = telemetry = Telemetry(settings.service)
        meter = telemetry.meter
        self.transport = transport = open_transport(settings, meter, clock)
        self.discovery, self._cache = make_discovery(settings, registry, meter, clock)
        self._count_handlers = meter.bind(DISCOVERY_HANDLERS)
        self._uncount_handlers = registry.observe(self._count_handlers)
        self.publisher = self._make_publisher(meter)
        self.consumer = self._make_consumer(meter)
        self.monitor: Monitor | None = None
        if settings.auto_discovery:
            self.monitor = Monitor(
                telemetry, settings.thresholds, settings.monitor, clock
            )
        self.health = health = HealthChecks(
            transport,
            meter,
            clock,
            discovery_problem=lambda: self.discovery.problem,
            began=telemetry.began,
        )
        telemetry.before_collect(self._cache.sweep)
        telemetry.before_collect(health.update_gauges)
        telemetry.before_collect(transport.observe)
        metrics = settings.metrics
        cache_seconds = (metrics or MetricsConfig()).cache_seconds
        self.routes = Routes(
            Exposition(telemetry.scrape, cache_seconds, clock.monotonic),
            {"/livez": health.livez, "/readyz": health.readyz},
        )
        self._endpoint = MetricsEndpoint(settings.service, metrics, self.routes)
        self.loop: asyncio.AbstractEventLoop
        """The event loop of the bus; set by `start`."""
        self._left_unfinished: bool | None = None
        self._closing: Threads[str] = Threads()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def _make_publisher(self, meter: Meter) -> Publisher:
        settings, transport = self._settings, self.transport
        return Publisher(
            transport,
            settings.batching,
            retry=settings.publish_retry,
            retrier=Retrier(self._clock, RetryRecorder(meter, "publish")),
            recorder=PublishRecorder(
                meter,
                transport.system,
                transport.destination,
                transport.server,
                streams=transport.streams,
            ),
            route_of=self._registry.match,
            clock=self._clock,
            limits=settings.limits,
            history=self._history,
        )

    def _make_consumer(self, meter: Meter) -> Consumer:
        settings, transport = self._settings, self.transport
        group = settings.consumer.group or settings.service
        return Consumer(
            transport,
            self._registry,
            settings.consumer,
            policy=settings.retry,
            retrier=Retrier(self._clock, RetryRecorder(meter, "handler")),
            recorder=ConsumeRecorder(
                meter,
                transport.system,
                transport.destination,
                group,
                transport.server,
                streams=transport.streams,
            ),
            clock=self._clock,
            limits=settings.limits,
            awaits_handlers=self._awaits_handlers,
            history=self._history,
        )

    def _awaits_handlers(self) -> bool:
        """Whether an event without a handler is redelivered, not dead-lettered."""
        if self._left_unfinished is not None:
            return self._left_unfinished
        return self.discovery.expects_more or bool(self.discovery.problem)

    @property
    def ended(self) -> bool:
        """Whether the bus has stopped or failed."""
        return self._task is not None and self._task.done()

    @property
    def metrics_url(self) -> str | None:
        """URL of ``/metrics``; None if it is not served."""
        return self._endpoint.url

    @property
    def unfinished(self) -> list[str]:
        """Names of what runs and may never end; thread-safe."""
        running = (self.consumer.unfinished, self.discovery.unfinished)
        return [name for names in (*running, self._closing.running) for name in names]

    async def start(self) -> None:
        """Start everything; returns when all queued providers have been scanned once.

        Raises:
            ConfigError: the metrics address is not available.
            DiscoveryError: a provider can never work, or a module cannot be imported,
                and discovery is strict.
            TransportError: the transport cannot be opened.
        """
        self.loop = asyncio.get_running_loop()
        started = self.loop.create_future()
        # One task owns all others, independent of the task that starts the bus.
        task = self._task = asyncio.create_task(self._main(started), name="evmon")
        task.add_done_callback(lambda task: self._pass_on(task, started))
        try:
            await started
        except asyncio.CancelledError:
            # Abandon what is still starting, such as a connection.
            task.cancel()
            await asyncio.wait([task])
            raise
        except BaseException:
            await self.stop()
            raise

    def _pass_on(
        self, task: "asyncio.Task[None]", started: "asyncio.Future[None]"
    ) -> None:
        """Raise a failure in `start`; log it if the bus had already started."""
        if not task.cancelled():
            error = innermost(task.exception())
        elif started.cancelled() or self._stop.is_set():  # by the caller
            return
        else:
            error = BusStateError(_CANCELLED)
        if error is None:
            return
        if started.done():
            _log.critical("the bus failed: %s: %s", type(error).__name__, error)
        else:
            started.set_exception(error)

    async def stop(self) -> None:
        """Drain and stop; raises the error that made the bus fail, if any."""
        self._stop.set()
        if self._task is None:
            return
        task = self._task
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            if not task.done():  # the caller is cancelled: stop without draining
                task.cancel()
                await asyncio.wait([task])
            raise
        if task.cancelled():
            raise BusStateError(_CANCELLED)
        error = task.exception()
        if isinstance(error, BaseExceptionGroup):
            raise innermost(error) from error  # type: ignore[misc]
        if error is not None:
            raise error

    async def wait(self) -> None:
        """Wait until the bus has stopped, by `stop` or by a failure."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _main(self, started: "asyncio.Future[None]") -> None:
        try:
            self._endpoint.start()
            # A bus that only publishes creates no group: its lag would grow forever.
            reads = len(self._registry) > 0 or self.discovery.pending > 0
            await self.transport.open(reads=reads)
            try:
                await self._run_parts(started)
            finally:
                with anyio.CancelScope(shield=True):
                    await self.transport.close()
        finally:
            self.health.stopped()
            # Also after a failure: release callers that wait for unsent events.
            self.publisher.abandon()
            self._uncount_handlers()
            self._count_handlers(-len(self._registry))
            self._cache.clear()
            await self._close("/metrics", self._endpoint.stop)
            await self._close("telemetry", self.telemetry.shutdown)

    async def _close(self, name: str, close: Callable[[], None]) -> None:
        """Close a part that user code may block, such as an observable callback."""
        with anyio.move_on_after(CLOSE_WITHIN, shield=True) as scope:
            await self._closing.run(name, close)
        if scope.cancelled_caught:
            _log.error("%s is not closed after %g s: left behind", name, CLOSE_WITHIN)

    async def _run_parts(self, started: "asyncio.Future[None]") -> None:
        async with anyio.create_task_group() as parts:
            publisher_done = asyncio.Event()
            consumer_done = asyncio.Event()
            discovering = anyio.CancelScope()
            parts.start_soon(self._run_part, "transport", self.transport.run)
            publishing = functools.partial(
                self._run_part, "publisher", self.publisher.run
            )
            parts.start_soon(and_then, publishing, publisher_done)
            if self._settings.auto_discovery:
                finding = functools.partial(
                    self._run_part, "discovery", self.discovery.run
                )
                parts.start_soon(in_scope, discovering, finding)
                await self.discovery.wait_until_quiet()
                self.discovery.end_start()
            consuming = functools.partial(self._run_part, "consumer", self.consumer.run)
            parts.start_soon(and_then, consuming, consumer_done)
            if self.monitor is not None:
                parts.start_soon(self._run_part, "monitor", self.monitor.run)
            if not started.done():
                started.set_result(None)
            self.health.started()
            _log.info(
                "%s started: %d handlers, %r, metrics: %s",
                self._settings.service,
                len(self._registry),
                self.transport,
                self.metrics_url or "not served",
            )
            await self._stop.wait()
            discovering.cancel()
            await self._drain(consumer_done, publisher_done)
            parts.cancel_scope.cancel()
            _log.info("%s stopped", self._settings.service)

    async def _run_part(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a part that must not end before the bus is stopped.

        Raises:
            BusStateError: it returned, or was cancelled by something else than the bus.
        """
        try:
            await run()
        except asyncio.CancelledError:
            if anyio.current_effective_deadline() == -math.inf:  # by a scope of the bus
                raise
            raise BusStateError(f"the {name} was cancelled from outside") from None
        if not self._stop.is_set():
            raise BusStateError(f"the {name} ended before the bus was stopped")

    async def _drain(
        self, consumer_done: asyncio.Event, publisher_done: asyncio.Event
    ) -> None:
        """Finish the events in flight, within the drain timeout."""
        self.health.draining()
        timeout = self._settings.consumer.drain_timeout
        subject = about_many(self.consumer.in_flight)
        _log.info(
            "%s stopping: %s in flight, waiting up to %g s",
            *(self._settings.service, subject, timeout),
            extra=subject.fields,
        )
        # Another process may know the handlers that were not registered here in time.
        self._left_unfinished = self.transport.shared and self._awaits_handlers()
        deadline = self._clock.monotonic() + timeout

        def left() -> float:
            return max(deadline - self._clock.monotonic(), 0.0)

        if not self.transport.shared:
            # No other process can handle what is buffered.
            with move_on_after(self._clock, left()):
                await self.publisher.flush()
        self.consumer.stop(left())
        await consumer_done.wait()
        self.publisher.close()
        with move_on_after(self._clock, left()):
            await publisher_done.wait()
        self.publisher.abandon()


async def preview(
    settings: Settings,
    registry: Registry,
    registrations: Registrations,
    clock: Clock,
) -> Discovery:
    """Discover into `registry` without starting anything else."""
    # Nothing starts here, so no failure ends the start.
    lenient = replace(settings, discovery=replace(settings.discovery, strict=False))
    discovery, _ = make_discovery(lenient, registry, NoMeter(), clock)
    registrations.copy_to(discovery)
    async with anyio.create_task_group() as group:
        group.start_soon(discovery.run)
        while discovery.pending:
            await discovery.wait_until_quiet()
            await clock.sleep(0.01)
        group.cancel_scope.cancel()
    return discovery
