"""`EventBus`: the central object of an application."""

import asyncio
import dataclasses
import os
import weakref
from collections.abc import Sequence
from types import TracebackType

from typing_extensions import Self

from evmon._bus.bounded_exit import Draining
from evmon._bus.names import claim_names, release_names
from evmon._bus.publish import PublishMethods
from evmon._bus.register import RegisterMethods
from evmon._bus.registrations import Registrations
from evmon._bus.run import check_can_run, run_until_signal, serve_until_signal
from evmon._bus.runtime import Runtime, preview
from evmon._clock import SYSTEM_CLOCK, Clock
from evmon._discovery.discovery import Discovery
from evmon._handlers.handlers import Handler
from evmon._handlers.registry import Registry
from evmon._history import History
from evmon._http.exposition import Routes
from evmon._monitor import Monitor
from evmon._publisher import Publisher
from evmon._settings.configs import (
    Batching,
    ConsumerConfig,
    DiscoveryConfig,
    EventLimits,
    MetricsConfig,
    MonitorConfig,
    PublishRetry,
    RedisConfig,
)
from evmon._settings.environment import environment, resolve, warn_of_slips
from evmon._settings.retry_policy import RetryPolicy
from evmon._settings.settings import Settings
from evmon._settings.thresholds import Thresholds
from evmon._transports import check_transport
from evmon.errors import BusStateError

running_buses: "weakref.WeakSet[EventBus]" = weakref.WeakSet()
"""The started buses of this process, for `metrics_app`."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=running_buses.clear)


class EventBus(PublishMethods, RegisterMethods):
    """Routes published events to handlers, retries failures and measures everything.

    Every setting can be overridden by an ``EVMON_*`` environment variable
    (``docs/configuration.md``). A bus runs once: after `stop`, make a new one.

    Args:
        service: name of the service, and of its stream and consumer group.
        transport: URL of the transport: ``memory://`` stays within this process,
            ``redis://host:6379/0`` shares the work with other processes.
        auto_discovery: run discovery and the monitor.
        discovery: how providers are scanned.
        batching: how published events are batched.
        publish_retry: how a publish is retried that the transport did not accept.
        consumer: how events are read and handled.
        redis: how the Redis transport behaves.
        retry: policy for discovery, and for handlers without their own.
        thresholds: the limits that the monitor checks.
        monitor: how often the monitor checks limits and logs a summary.
        metrics: where ``/metrics`` is served. None serves it only from `run` and
            `serve`, or if the environment names a host or port.
        limits: maximum size and depth of an event.
        clock: source of time and jitter; tests give an `evmon.testing.VirtualClock`.

    Raises:
        ConfigError: a setting has an invalid value, or a variable gives the bus the names
            of another one in this process.

    Example:
        >>> bus = EventBus(service="shop")
        >>> bus.register(Orders())
        >>> async with bus:
        ...     await bus.publish("order.created", {"id": 7})
    """

    def __init__(
        self,
        service: str = "evmon",
        transport: str = "memory://",
        *,
        auto_discovery: bool = True,
        discovery: DiscoveryConfig = DiscoveryConfig(),
        batching: Batching = Batching(),
        publish_retry: PublishRetry = PublishRetry(),
        consumer: ConsumerConfig = ConsumerConfig(),
        redis: RedisConfig = RedisConfig(),
        retry: RetryPolicy = RetryPolicy(),
        thresholds: Thresholds = Thresholds(),
        monitor: MonitorConfig = MonitorConfig(),
        metrics: MetricsConfig | None = None,
        limits: EventLimits = EventLimits(),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        environ = environment()
        warn_of_slips(environ)
        settings = Settings(
            service=service,
            transport=transport,
            auto_discovery=auto_discovery,
            discovery=discovery,
            batching=batching,
            publish_retry=publish_retry,
            consumer=consumer,
            redis=redis,
            retry=retry,
            thresholds=thresholds,
            monitor=monitor,
            metrics=metrics,
            limits=limits,
        )
        self._settings = resolve(settings, environ)
        check_transport(self._settings)
        claim_names(self, settings, self._settings, environ)
        self._clock = clock
        self._registry = Registry()
        self._registrations = Registrations(enabled=self._settings.auto_discovery)
        self._history: History | None = None
        self._own_runtime: Runtime | None = None
        self._pid = 0
        self._stopping = False
        self._stopped = False

    def __repr__(self) -> str:
        scheme = self._settings.transport.partition(":")[0]
        return f"EventBus(service={self.service!r}, transport='{scheme}://…')"

    @property
    def service(self) -> str:
        """Name of the service."""
        return self._settings.service

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """The registered handlers, in order of registration."""
        return self._registry.handlers

    @property
    def monitor(self) -> Monitor:
        """Metrics, warnings and recommendations.

        Raises:
            BusStateError: the bus was not started, or has ``auto_discovery=False``.
        """
        monitor = self._started().monitor
        if monitor is None:
            raise BusStateError("no monitor: the bus has auto_discovery=False")
        return monitor

    @property
    def discovery(self) -> Discovery:
        """The state of discovery: ``pending`` and ``failures``.

        Raises:
            BusStateError: the bus was not started.
        """
        return self._started().discovery

    @property
    def metrics_url(self) -> str | None:
        """URL of ``/metrics``; None while it is not served."""
        return self._runtime.metrics_url if self._runtime else None

    @property
    def routes(self) -> Routes | None:
        """Answers ``/metrics``, ``/livez`` and ``/readyz``; None before `start`."""
        return self._runtime.routes if self._runtime else None

    async def start(self) -> None:
        """Start discovery, consumer and monitor; ``async with bus`` does it for you.

        Returns once every provider registered so far has been scanned once.

        Raises:
            BusStateError: the bus was already started.
            ConfigError: the metrics address is not available, or the server's
                configuration is refused.
            DiscoveryError: a provider can never work, or a module cannot be imported;
                not with ``DiscoveryConfig(strict=False)``.
            TransportError: the transport cannot be opened.

        Example:
            >>> await bus.start()
            >>> await bus.stop()
        """
        if self._runtime is not None:
            raise BusStateError("the bus was already started: make a new EventBus")
        runtime = Runtime(self._settings, self._registry, self._clock, self._history)
        self._own_runtime, self._pid = runtime, os.getpid()
        self._registrations.pass_to(runtime.discovery)
        running_buses.add(self)
        try:
            await runtime.start()
        except BaseException:
            running_buses.discard(self)
            release_names(self)
            self._registrations.close()
            self._stopping = self._stopped = True
            raise

    async def stop(self) -> None:
        """Stop reading, wait for running handlers, send what is buffered, and close.

        Events still in flight after ``ConsumerConfig.drain_timeout`` seconds are
        released for redelivery; a handler that cannot be stopped is logged and left
        behind. Further calls wait for the first one to finish.

        Raises:
            Exception: the error that made the bus fail, if it failed.

        Example:
            >>> await bus.start()
            >>> await bus.stop()
        """
        running_buses.discard(self)
        runtime = self._runtime
        if runtime is None:
            return
        if self._stopping:
            await runtime.wait()
            return
        self._stopping = True
        self._registrations.close()
        try:
            await runtime.stop()
        finally:
            self._stopped = True
            release_names(self)

    async def wait(self) -> None:
        """Wait until the bus has stopped, by `stop` or because it failed.

        Returns at once if it has stopped already. The error of a bus that failed is
        raised by `stop`.

        Raises:
            BusStateError: the bus was not started.

        Example:
            >>> await bus.start()
            >>> try:
            ...     await bus.wait()
            ... finally:
            ...     await bus.stop()
        """
        await self._started().wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def run(self) -> None:
        """Start and block until SIGINT or SIGTERM, then drain and return.

        Serves ``/metrics``, by default on ``127.0.0.1:9464``. A second signal ends the
        process at once, and a handler that cannot be stopped ends it with
        `EXIT_UNFINISHED` a few seconds after the drain timeout. Uses uvloop if it is
        installed.

        Raises:
            BusStateError: not called from the main thread, called on an event loop, or
                the bus was already started.
            ConfigError: the metrics address is not available, or the server's
                configuration is refused.
            DiscoveryError: a provider can never work, or a module cannot be imported;
                not with ``DiscoveryConfig(strict=False)``.
            TransportError: the transport cannot be opened.

        Example:
            >>> if __name__ == "__main__":
            ...     bus.run()
        """
        check_can_run()
        self._serve_metrics()
        run_until_signal(self, self._draining())

    async def serve(self) -> None:
        """Do the same as `run` on the current event loop, for your own main function.

        Several buses may be served at once: one signal drains all of them.

        Raises:
            BusStateError: not called from the main thread, or the bus was already
                started.
            ConfigError: the metrics address is not available, or the server's
                configuration is refused.
            DiscoveryError: a provider can never work, or a module cannot be imported;
                not with ``DiscoveryConfig(strict=False)``.
            TransportError: the transport cannot be opened.

        Example:
            >>> async def main() -> None:
            ...     async with open_pool() as pool:
            ...         bus.register(Orders(pool))
            ...         await bus.serve()
        """
        self._serve_metrics()
        await serve_until_signal(self, self._draining())

    async def preview(self) -> tuple[tuple[Handler, ...], Discovery]:
        """Run discovery without starting the bus or changing it.

        Returns:
            The handlers that would be registered, and the `Discovery` with its
            ``failures``.

        Example:
            >>> handlers, discovery = await bus.preview()
            >>> [handler.pattern for handler in handlers], discovery.failures
            (['order.created'], ())
        """
        self._check_process()
        registry = Registry()
        registry.add(self._registry.handlers)
        discovery = await preview(
            self._settings, registry, self._registrations, self._clock
        )
        return registry.handlers, discovery

    def _serve_metrics(self) -> None:
        if self._settings.metrics is None:
            metrics = resolve(MetricsConfig(), environment())
            self._settings = dataclasses.replace(self._settings, metrics=metrics)

    def _draining(self) -> Draining:
        return Draining(self._settings.consumer.drain_timeout, self._unfinished)

    def _unfinished(self) -> Sequence[str]:
        return [] if self._own_runtime is None else self._own_runtime.unfinished

    def _publisher(self) -> Publisher:
        return self._live().publisher

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        return self._live().loop

    @property
    def _runtime(self) -> Runtime | None:
        self._check_process()
        return self._own_runtime

    def _check_process(self) -> None:
        if self._own_runtime is not None and self._pid != os.getpid():
            raise BusStateError(
                f"the bus was started in process {self._pid}, and this is a fork of it:"
                " make a new EventBus after the fork"
            )

    def _started(self) -> Runtime:
        runtime = self._runtime
        if runtime is None:
            raise BusStateError("the bus is not running: use 'async with bus'")
        return runtime

    def _live(self) -> Runtime:
        self._check_process()
        if self._stopped:
            raise BusStateError("the bus has stopped: make a new EventBus")
        return self._started()
