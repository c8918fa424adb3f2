"""A running bus: its parts, started and stopped in order."""

import asyncio
import dataclasses
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import anyio

from evmon._bus.health import HealthChecks
from evmon._clock import Clock
from evmon._consumer.consumer import Consumer
from evmon._discovery.cache import MetadataCache
from evmon._discovery.discovery import Discovery
from evmon._handlers.handlers import HandlerSpec
from evmon._handlers.registry import Registry
from evmon._http.exposition import Exposition, Routes
from evmon._http.server import MetricsServer
from evmon._monitor import Monitor
from evmon._publisher import Publisher
from evmon._retry import Retrier
from evmon._settings.configs import (
    Batching,
    ConsumerConfig,
    DiscoveryConfig,
    EventLimits,
    MetricsConfig,
    MonitorConfig,
    RedisConfig,
)
from evmon._settings.retry_policy import RetryPolicy
from evmon._settings.thresholds import Thresholds
from evmon._telemetry.instruments import DISCOVERY_HANDLERS
from evmon._telemetry.meter import Meter, NoMeter
from evmon._telemetry.provider import Telemetry
from evmon._telemetry.recorders import (
    ConsumeRecorder,
    DiscoveryRecorder,
    PublishRecorder,
    RetryRecorder,
)
from evmon._transports import open_transport
from evmon.errors import TransportError

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

_log = logging.getLogger("evmon.bus")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a bus, with the overrides of the environment applied."""

    service: str
    transport: str
    auto_discovery: bool
    discovery: DiscoveryConfig
    batching: Batching
    consumer: ConsumerConfig
    redis: RedisConfig
    retry: RetryPolicy
    thresholds: Thresholds
    monitor: MonitorConfig
    limits: EventLimits


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
    )
    return discovery, cache


class Runtime:
    """The parts of a bus between start and stop.

    Args:
        settings: of the bus.
        registry: already holds handlers added with `add_handler`.
        metrics: where ``/metrics`` is served; None does not serve it.
        clock: time source.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        metrics: MetricsConfig | None,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self.telemetry = telemetry = Telemetry(settings.service)
        meter = telemetry.meter
        group = settings.consumer.group or settings.service
        self.transport = transport = open_transport(
            settings.transport,
            settings.service,
            clock,
            group=group,
            redis=settings.redis,
            meter=meter,
        )
        self.discovery, self._cache = make_discovery(settings, registry, meter, clock)
        self._count_handlers = meter.bind(DISCOVERY_HANDLERS)
        self._uncount_handlers = registry.observe(self._count_handlers)
        telemetry.before_collect(self._cache.sweep)
        system, destination = transport.system, transport.destination
        self.publisher = Publisher(
            transport,
            settings.batching,
            # `retry_on` is about handlers; publishing retries transport errors.
            policy=dataclasses.replace(settings.retry, retry_on=(TransportError,)),
            retrier=Retrier(clock, RetryRecorder(meter, "publish")),
            recorder=PublishRecorder(meter, system, destination),
            type_label=lambda event_type: registry.match(event_type).label,
            clock=clock,
            limits=settings.limits,
        )
        self.consumer = Consumer(
            transport,
            registry,
            settings.consumer,
            policy=settings.retry,
            retrier=Retrier(clock, RetryRecorder(meter, "handler")),
            recorder=ConsumeRecorder(meter, system, destination, group),
            clock=clock,
            limits=settings.limits,
            awaits_handlers=lambda: (
                self._left_unfinished or self.discovery.expects_more
            ),
        )
        self.monitor: Monitor | None = None
        if settings.auto_discovery:
            self.monitor = Monitor(
                telemetry, settings.thresholds, settings.monitor, clock
            )
        self.health = health = HealthChecks(transport, meter, clock)
        telemetry.before_collect(health.look)
        telemetry.before_collect(transport.observe)
        self.routes = Routes(
            Exposition(
                telemetry.scrape,
                (metrics or MetricsConfig()).cache_seconds,
                clock.monotonic,
            ),
            {"/livez": health.livez, "/readyz": health.readyz},
        )
        self._server = MetricsServer(metrics, self.routes) if metrics else None
        self._left_unfinished = False
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def metrics_url(self) -> str | None:
        """URL of ``/metrics``; None if it is not served."""
        return f"{self._server.url}/metrics" if self._server else None

    async def start(self, providers: Iterable[Any], packages: Iterable[str]) -> None:
        """Start everything; returns when what was queued before has been scanned.

        Raises:
            ConfigError: the metrics address is not available.
            TransportError: the transport cannot be opened.
        """
        for provider in providers:
            self.discovery.register(provider)
        for package in packages:
            self.discovery.discover(package)
        started = asyncio.get_running_loop().create_future()
        # One task owns all others, independent of the task that starts the bus.
        task = self._task = asyncio.create_task(self._main(started), name="evmon")
        task.add_done_callback(lambda task: _pass_on(task, started))
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

    async def stop(self) -> None:
        """Drain and stop; raises the error that made the bus fail, if any."""
        self._stop.set()
        if self._task is None:
            return
        task = self._task
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():  # the caller is cancelled: stop without draining
                task.cancel()
                await asyncio.wait([task])
            raise
        except BaseExceptionGroup as group:
            raise _innermost(group) from group  # type: ignore[misc]

    async def wait(self) -> None:
        """Wait until the bus has stopped, by `stop` or by a failure."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _main(self, started: "asyncio.Future[None]") -> None:
        try:
            if self._server is not None:
                self._server.start()
            # A bus that only publishes creates no group: its lag would grow forever.
            reads = len(self._registry) > 0 or self.discovery.pending > 0
            await self.transport.open(reads=reads)
            try:
                await self._run_parts(started)
            finally:
                with anyio.CancelScope(shield=True):
                    await self.transport.close()
        finally:
            # However it ended: release those who wait for unsent events.
            self.publisher.abandon()
            self._uncount_handlers()
            self._count_handlers(-len(self._registry))
            self._cache.clear()
            if self._server is not None:
                await anyio.to_thread.run_sync(self._server.stop)
            await anyio.to_thread.run_sync(self.telemetry.shutdown)

    async def _run_parts(self, started: "asyncio.Future[None]") -> None:
        async with anyio.create_task_group() as parts:
            publisher_done = asyncio.Event()
            consumer_done = asyncio.Event()
            parts.start_soon(self.transport.run)
            parts.start_soon(_and_then, self.publisher.run, publisher_done)
            discovering = anyio.CancelScope()
            if self._settings.auto_discovery:
                parts.start_soon(_within, discovering, self.discovery.run)
                await self.discovery.wait_until_quiet()
            parts.start_soon(_and_then, self.consumer.run, consumer_done)
            if self.monitor is not None:
                parts.start_soon(self.monitor.run)
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
            self.health.draining()
            _log.info(
                "%s stopping: %d events in flight, waiting up to %g s",
                self._settings.service,
                self.consumer.in_flight,
                self._settings.consumer.drain_timeout,
            )
            # Another process may know the handlers that did not make it here.
            self._left_unfinished = self.transport.shared and (
                self.discovery.expects_more
            )
            discovering.cancel()
            deadline = anyio.current_time() + self._settings.consumer.drain_timeout
            if not self.transport.shared:
                # No other process can handle what is buffered.
                with anyio.CancelScope(deadline=deadline):
                    await self.publisher.flush()
            self.consumer.stop(max(deadline - anyio.current_time(), 0))
            await consumer_done.wait()
            self.publisher.close()
            with anyio.CancelScope(deadline=deadline):
                await publisher_done.wait()
            self.publisher.abandon()
            parts.cancel_scope.cancel()
            _log.info("%s stopped", self._settings.service)


async def preview(
    settings: Settings,
    registry: Registry,
    providers: Iterable[Any],
    packages: Iterable[str],
    clock: Clock,
) -> Discovery:
    """Discover into `registry` without starting anything else."""
    discovery, _ = make_discovery(settings, registry, NoMeter(), clock)
    for provider in providers:
        discovery.register(provider)
    for package in packages:
        discovery.discover(package)
    async with anyio.create_task_group() as group:
        group.start_soon(discovery.run)
        while discovery.pending:
            await discovery.wait_until_quiet()
            await clock.sleep(0.01)
        group.cancel_scope.cancel()
    return discovery


async def _and_then(run: Callable[[], Awaitable[None]], done: asyncio.Event) -> None:
    await run()
    done.set()


async def _within(scope: anyio.CancelScope, run: Callable[[], Awaitable[None]]) -> None:
    with scope:
        await run()


def _innermost(error: BaseException | None) -> BaseException | None:
    """Unwrap exception groups that hold a single error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _pass_on(task: "asyncio.Task[None]", started: "asyncio.Future[None]") -> None:
    """Pass a failure to whoever starts the bus; log it if the bus was running."""
    if task.cancelled():
        started.cancel()
        return
    error = _innermost(task.exception())
    if error is None:
        return
    if started.done():
        _log.critical("the bus failed: %s: %s", type(error).__name__, error)
    else:
        started.set_exception(error)
