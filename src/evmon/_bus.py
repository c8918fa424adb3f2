"""`EventBus`: the one object that an application holds."""

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import ModuleType, TracebackType
from typing import Any

from typing_extensions import Self

from evmon._clock import SYSTEM_CLOCK, Clock
from evmon._config import (
    Batching,
    ConsumerConfig,
    DiscoveryConfig,
    MetricsConfig,
    MonitorConfig,
    RedisConfig,
)
from evmon._discovery import Discovery
from evmon._environment import Basics, environment, resolve, warn_of_slips
from evmon._events import Event, EventLimits, check_event, new_id, now
from evmon._handlers import Handler, handler_of
from evmon._monitor import Monitor
from evmon._registry import Registry
from evmon._retry import RetryPolicy
from evmon._runtime import Runtime, Settings, preview
from evmon._serving import run_until_signal, serve_until_signal
from evmon._telemetry.exposition import Routes
from evmon._thresholds import Thresholds
from evmon._transports import check_transport
from evmon.errors import BusStateError, PublishError

running_buses: "weakref.WeakSet[EventBus]" = weakref.WeakSet()
"""Those of this process that are started and not stopped."""


class EventBus:
    """Handlers, the transport between them, and the view of how they do.

    Every setting can be overridden by an ``EVMON_*`` environment variable
    (``docs/configuration.md``). A bus is used once: after `stop`, make a new one.

    Args:
        service: name of the service; also its stream and its consumer group.
        transport: URL of the transport; ``memory://`` is this process alone,
            ``redis://host:6379/0`` shares the work with other processes.
        auto_discovery: whether providers are discovered and the monitor runs.
        discovery: how providers are looked at.
        batching: how published events gather.
        consumer: how events are read and handled.
        redis: how Redis is used, when the transport is one.
        retry: policy for discovery, publishing, and handlers without their own.
        thresholds: the limits that the monitor warns about.
        monitor: how often it looks and speaks.
        metrics: where ``/metrics`` is served. None serves it only from `run`, or when
            the environment names a host or port.
        limits: of an event's size and depth.
        clock: time and chance, for tests.

    Raises:
        ConfigError: a setting has a value that it cannot have.

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
        basics = Basics(
            service=service, transport=transport, auto_discovery=auto_discovery
        )
        basics = resolve(Basics, basics, environ)
        self._settings = Settings(
            service=basics.service,
            transport=basics.transport,
            auto_discovery=basics.auto_discovery,
            discovery=resolve(DiscoveryConfig, discovery, environ),
            batching=resolve(Batching, batching, environ),
            consumer=resolve(ConsumerConfig, consumer, environ),
            redis=resolve(RedisConfig, redis, environ),
            retry=resolve(RetryPolicy, retry, environ),
            thresholds=resolve(Thresholds, thresholds, environ),
            monitor=resolve(MonitorConfig, monitor, environ),
            limits=resolve(EventLimits, limits, environ),
        )
        check_transport(self._settings.transport, self._settings.redis)
        self._metrics = _metrics_config(metrics, environ)
        self._clock = clock
        self._registry = Registry()
        self._providers: list[Any] = []
        self._packages: list[str] = []
        self._runtime: Runtime | None = None
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
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
        """The handlers that are registered now."""
        return self._registry.handlers

    @property
    def monitor(self) -> Monitor:
        """The view over what was measured.

        Raises:
            BusStateError: the bus was not started, or has `auto_discovery=False`.
        """
        monitor = self._started().monitor
        if monitor is None:
            raise BusStateError("auto_discovery=False turned the monitor off")
        return monitor

    @property
    def discovery(self) -> Discovery:
        """The state of discovery: `pending` and `failures`.

        Raises:
            BusStateError: the bus was not started.
        """
        return self._started().discovery

    @property
    def metrics_url(self) -> str | None:
        """Where ``/metrics`` is served, if it is."""
        return self._runtime.metrics_url if self._runtime else None

    @property
    def routes(self) -> Routes | None:
        """What answers ``/metrics``, ``/livez`` and ``/readyz``; None before `start`."""
        return self._runtime.routes if self._runtime else None

    def register(self, provider: Any) -> None:
        """Queue a provider of handlers for discovery; thread-safe, returns at once.

        Args:
            provider: an instance, a class, a module or a function.

        Raises:
            BusStateError: the bus has `auto_discovery=False`.
        """
        self._wants_discovery("register")
        with self._starting:
            if self._runtime is None:
                self._providers.append(provider)
                return
        self._runtime.discovery.register(provider)

    def discover(self, package: str | ModuleType) -> None:
        """Queue a module or package and all modules in it for discovery.

        Args:
            package: a module, or the dotted name of one.

        Raises:
            BusStateError: the bus has `auto_discovery=False`.
        """
        self._wants_discovery("discover")
        with self._starting:
            if self._runtime is None:
                name = package if isinstance(package, str) else package.__name__
                self._packages.append(name)
                return
        self._runtime.discovery.discover(package)

    def unregister(self, provider: Any) -> int:
        """Take a provider's handlers away; returns how many there were."""
        if self._runtime is not None:
            return self._runtime.discovery.unregister(provider)
        self._providers = [p for p in self._providers if p is not provider]
        return 0

    def add_handler(
        self,
        pattern: str,
        function: Callable[..., Any],
        *,
        retry: RetryPolicy | None = None,
    ) -> None:
        """Register a function for a pattern at once, without discovery.

        Raises:
            ConfigError: the pattern is not one.
            DiscoveryError: the function takes what no event can give.
        """
        self._registry.add([handler_of(function, pattern, retry)])

    async def publish(
        self,
        type: str,  # noqa: A002 - CloudEvents' word
        data: Any = None,
        *,
        id: str | None = None,  # noqa: A002 - CloudEvents' word
        source: str | None = None,
        time: datetime | None = None,
        traceparent: str | None = None,
    ) -> "Event[Any]":
        """Publish an event; returns it when the transport has it.

        Args:
            type: words joined by dots, such as ``order.created``.
            data: of JSON types, or what msgspec makes JSON of (dataclasses, dates …).
            id: unique for the source; made when not given.
            source: the service's name when not given.
            time: now when not given.
            traceparent: W3C trace context to pass on.

        Raises:
            InvalidEventError: the event is too large, too deep, or not JSON.
            PublishError: the transport did not take it, after all retries.
            BusStateError: the bus is not running.
        """
        event = self._event(type, data, id, source, time, traceparent)
        await self._live().publisher.publish(event)
        return event

    async def publish_many(
        self, events: "Iterable[Event[Any] | tuple[str, Any]]"
    ) -> list[PublishError | None]:
        """Publish many events in few batches.

        Args:
            events: events, or pairs of type and data.

        Returns:
            for each event, in order, None or why it was refused.

        Raises:
            InvalidEventError: the type of an event is none; those before it were sent.
            BusStateError: the bus is not running.
        """
        return await self._live().publisher.publish_many(
            check_event(event) if isinstance(event, Event) else self._event(*event)
            for event in events
        )

    def publish_sync(self, type: str, data: Any = None) -> "Event[Any]":  # noqa: A002
        """Publish from a thread, such as that of a plain handler, and wait.

        Raises:
            InvalidEventError: the event is too large, too deep, or not JSON.
            PublishError: the transport did not take it, after all retries.
            BusStateError: the bus is not running, or this is the event loop's thread.
        """
        event = self._event(type, data)
        publisher = self._live().publisher
        if _in_event_loop():
            raise BusStateError("publish_sync() would block the loop: await publish()")
        assert self._loop is not None  # noqa: S101 - `start` found it
        publishing = publisher.publish(event)
        asyncio.run_coroutine_threadsafe(publishing, self._loop).result()
        return event

    def publish_nowait(self, type: str, data: Any = None) -> "Event[Any]":  # noqa: A002
        """Publish some time soon and do not wait; a failure is logged and counted.

        Raises:
            InvalidEventError: the event is too large, too deep, or not JSON.
            PublishError: the buffer is full.
            BusStateError: the bus is not running.
        """
        event = self._event(type, data)
        self._live().publisher.publish_nowait(event)
        return event

    async def start(self) -> None:
        """Start discovery, consumer and monitor; `async with` does it for you.

        Returns when all that was registered before has been looked at once.

        Raises:
            BusStateError: the bus was started before.
            ConfigError: the metrics port is taken.
            TransportError: the transport cannot be opened.
        """
        if self._runtime is not None:
            raise BusStateError("a bus is started once: make a new EventBus")
        runtime = Runtime(self._settings, self._registry, self._metrics, self._clock)
        with self._starting:
            self._runtime = runtime
            providers, self._providers = self._providers, []
        running_buses.add(self)
        self._loop = asyncio.get_running_loop()
        try:
            await runtime.start(providers, self._packages)
        except BaseException:
            running_buses.discard(self)
            self._stopping = self._stopped = True
            raise

    async def stop(self) -> None:
        """Drain, flush and release everything; the second time, wait for the first."""
        running_buses.discard(self)
        if self._runtime is None:
            return
        if self._stopping:
            await self._runtime.wait()
            return
        self._stopping = True
        try:
            await self._runtime.stop()
        finally:
            self._stopped = True

    async def wait(self) -> None:
        """Wait until the bus stops, for example because it failed."""
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

        ``/metrics`` is served, on ``127.0.0.1:9464`` unless told otherwise. A second
        signal ends the process at once. uvloop is used where it is installed.

        Raises:
            ConfigError: the metrics port is taken.
            TransportError: the transport cannot be opened.
        """
        if threading.current_thread() is not threading.main_thread():
            raise BusStateError("run() takes signals, so it needs the main thread")
        if _in_event_loop():
            raise BusStateError("run() starts an event loop: in one, await bus.serve()")
        self._serve_metrics()
        run_until_signal(self)

    async def serve(self) -> None:
        """Do what `run` does, on the event loop that runs: for a main of your own.

        Raises:
            BusStateError: the bus was started before.
            ConfigError: the metrics port is taken, or the transport's server is refused.
            TransportError: the transport cannot be opened.

        Example:
            >>> async def main() -> None:
            ...     async with open_pool() as pool:
            ...         bus.register(Orders(pool))
            ...         await bus.serve()
        """
        self._serve_metrics()
        await serve_until_signal(self)

    async def preview(self) -> tuple[tuple[Handler, ...], Discovery]:
        """Discover without starting: what would be registered, and what would fail.

        Example:
            ``handlers, discovery = await bus.preview()``
        """
        registry = Registry()
        registry.add(self._registry.handlers)
        discovery = await preview(
            self._settings, registry, self._providers, self._packages, self._clock
        )
        return registry.handlers, discovery

    def _event(
        self,
        event_type: str,
        data: Any = None,
        event_id: str | None = None,
        source: str | None = None,
        time: datetime | None = None,
        traceparent: str | None = None,
    ) -> "Event[Any]":
        return check_event(
            Event(
                id=new_id() if event_id is None else event_id,
                source=self.service if source is None else source,
                type=event_type,
                time=now() if time is None else time,
                data=data,
                traceparent=traceparent,
            )
        )

    def _serve_metrics(self) -> None:
        if self._metrics is None:
            self._metrics = resolve(MetricsConfig, MetricsConfig(), environment())

    def _wants_discovery(self, verb: str) -> None:
        if not self._settings.auto_discovery:
            raise BusStateError(
                f"{verb}() needs auto_discovery=True; add_handler() works without"
            )
        if self._stopped:
            raise BusStateError("the bus has stopped: make a new EventBus")

    def _started(self) -> Runtime:
        if self._runtime is None:
            raise BusStateError("the bus is not running: use 'async with bus'")
        return self._runtime

    def _live(self) -> Runtime:
        if self._stopped:
            raise BusStateError("the bus has stopped: make a new EventBus")
        return self._started()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _metrics_config(
    metrics: MetricsConfig | None, environ: Mapping[str, str]
) -> MetricsConfig | None:
    named = "EVMON_METRICS_HOST" in environ or "EVMON_METRICS_PORT" in environ
    if metrics is None and not named:
        return None
    metrics = MetricsConfig() if metrics is None else metrics
    return resolve(MetricsConfig, metrics, environ)
