"""Discovery: a queue of providers that are scanned in batches."""

import importlib
import logging
import pkgutil
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from evmon._clock import Clock
from evmon._discovery.cache import MetadataCache
from evmon._discovery.left_out import warn_of_left_out
from evmon._discovery.providers import (
    describe,
    in_thread,
    instantiate,
    is_provider,
    needs_instance,
)
from evmon._discovery.queue import Item, ProviderQueue
from evmon._discovery.turns import Turn, Turns
from evmon._handlers.handlers import Handler, HandlerSpec, bind, scan
from evmon._handlers.registry import Registry
from evmon._retry import Retrier
from evmon._settings.configs import DiscoveryConfig
from evmon._settings.retry_policy import RetryPolicy
from evmon._telemetry.recorders import DiscoveryRecorder
from evmon.errors import ConfigError, DiscoveryError

FAILURES_KEPT: Final = 1000

_log = logging.getLogger("evmon.discovery")


@dataclass(frozen=True, slots=True)
class DiscoveryFailure:
    """A provider that could not be scanned, after all retries.

    Attributes:
        provider: name of the provider.
        error: the error of the last attempt.
        attempts: number of attempts.

    Example:
        >>> [(failure.provider, failure.error) for failure in bus.discovery.failures]
        [('shop.app.Orders', DiscoveryError('…'))]
    """

    provider: str
    error: Exception
    attempts: int


@dataclass(slots=True)
class _Registration:
    """The handlers of a provider, with a reference to it, so that its id stays unique."""

    provider: Any
    keys: list[int] = field(default_factory=list)


class Discovery:
    """Finds the handlers of providers and registers them.

    Providers are instances, classes, modules or functions. A class is instantiated if
    some of its handlers are instance methods. A provider that fails is retried without
    delaying others, and then reported in the log, in the metrics and in `failures`.
    Applications get it from `EventBus.discovery` and `EventBus.preview`.

    Args:
        registry: registry that the handlers are added to.
        config: maximum number of providers in a batch.
        cache: cache of the results of scans.
        policy: retry policy for providers that fail.
        retrier: retrier that applies the policy.
        recorder: recorder of metrics.
        clock: source of time.

    Example:
        >>> handlers, discovery = await bus.preview()
        >>> discovery.pending, discovery.failures
        (0, ())
    """

    def __init__(
        self,
        registry: Registry,
        config: DiscoveryConfig,
        *,
        cache: MetadataCache[HandlerSpec],
        policy: RetryPolicy,
        retrier: Retrier,
        recorder: DiscoveryRecorder,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._config = config
        self._cache = cache
        self._policy = policy
        self._retrier = retrier
        self._recorder = recorder
        self._clock = clock
        self._queue = ProviderQueue(recorder, clock)
        self._registrations: dict[int, _Registration] = {}
        self._failures: deque[DiscoveryFailure] = deque(maxlen=FAILURES_KEPT)

    @property
    def failures(self) -> tuple[DiscoveryFailure, ...]:
        """The last 1,000 providers that failed for good, oldest first."""
        return tuple(self._failures)

    @property
    def pending(self) -> int:
        """Number of providers queued, being scanned, or waiting for a retry."""
        return len(self._queue)

    @property
    def expects_more(self) -> bool:
        """Whether a provider that was queued in the last 30 s may still bring handlers."""
        return self._queue.expects_more

    def register(self, provider: Any) -> None:
        """Queue a provider; thread-safe, returns at once.

        Args:
            provider: an instance, class, module or function.
        """
        self._queue.put(Item(provider, is_module_name=False))

    def discover(self, package: str | ModuleType) -> None:
        """Queue a module, or a package and its modules; thread-safe, returns at once.

        Abstract classes and protocols are skipped, and so are classes of which an
        instance is registered.

        Args:
            package: a module or package, or its dotted name.
        """
        name = package if isinstance(package, str) else package.__name__
        self._queue.put(Item(name, is_module_name=True))

    def unregister(self, provider: Any) -> int:
        """Remove the handlers of a provider, or withdraw it from the queue.

        Args:
            provider: the same object that was passed to `register`.

        Returns:
            Number of handlers removed; 0 if none had been registered yet.
        """
        self._cache.invalidate(provider)
        self._queue.withdraw(provider)
        registration = self._registrations.pop(id(provider), None)
        if registration is None:
            return 0
        return self._registry.remove(registration.keys)

    async def wait_until_quiet(self) -> None:
        """Wait until everything in the queue has been scanned once."""
        await self._queue.wait_until_quiet()

    async def run(self) -> None:
        """Scan what is queued, sleeping while the queue is empty, until cancelled."""
        try:
            async with anyio.create_task_group() as retries:
                while True:
                    # No variable for the batch: it would keep providers alive.
                    await self._scan_batch(
                        await self._queue.take(self._config.batch_size), retries
                    )
        finally:
            self._queue.clear()

    async def _scan_batch(self, batch: Sequence[Item], retries: TaskGroup) -> None:
        started = self._clock.monotonic()
        turns = Turns()
        async with anyio.create_task_group() as group:
            for item in batch:
                turn = turns.next(item)
                group.start_soon(self._scan_item, item, retries, turn)
        elapsed = max(self._clock.monotonic() - started, 0.0)
        self._recorder.batch_ended(elapsed, self._clock.time())

    async def _scan_item(self, item: Item, retries: TaskGroup, turn: Turn) -> None:
        try:
            await self._scan(item, retries, turn)
        finally:
            turn.end()

    async def _scan(self, item: Item, retries: TaskGroup, turn: Turn) -> None:
        if item not in self._queue:
            return
        provider, handlers = item.subject, []
        try:
            if item.is_module_name:
                provider = await self._import(item.subject)
            handlers = await self._handlers_of(provider)
            await turn.wait()
        except Exception as error:  # noqa: BLE001 - providers are user code
            delay = self._retrier.next_delay(
                _policy_for(self._policy, error), item.attempts, error
            )
            if delay is None:
                self._give_up(item, error)
            else:
                item.attempts += 1
                retries.start_soon(self._put_after, item, delay)
            return
        if not self._queue.settle(item, "registered" if handlers else "empty"):
            return
        warn_of_left_out(provider, self._known)
        if handlers:
            self._register(provider, handlers)
        elif not item.is_module_name:
            _log.warning(
                "%s has no handlers: declare them with @event_handler",
                describe(provider),
            )

    async def _put_after(self, item: Item, delay: float) -> None:
        await self._clock.sleep(delay)
        self._queue.put(item)

    async def _import(self, name: str) -> ModuleType:
        # An import runs arbitrary code and may be slow, so not on the event loop.
        module = await in_thread(importlib.import_module, name)
        for info in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
            if not info.name.endswith(".__main__"):
                self._queue.put(Item(info.name, is_module_name=True))
        for value in list(vars(module).values()):
            if (
                is_provider(value, name)
                and not self._has_instance_of(value)
                and self._cache.get_or_scan(value, scan)
            ):
                self._queue.put(Item(value))
        return module

    def _has_instance_of(self, kind: type) -> bool:
        """Whether an instance was registered; another one would handle events twice."""
        return any(type(provider) is kind for provider in self._known())

    def _known(self) -> list[Any]:
        """Providers that are registered, and subjects of items in the queue."""
        registered = [r.provider for r in list(self._registrations.values())]
        return [*registered, *self._queue.subjects]

    async def _handlers_of(self, provider: Any) -> list[Handler]:
        specs = self._cache.get_or_scan(provider, scan)
        target = provider
        if isinstance(provider, type) and needs_instance(provider, specs):
            target = await in_thread(instantiate, provider)
        return [bind(target, spec) for spec in specs]

    def _register(self, provider: Any, handlers: list[Handler]) -> None:
        """Register the handlers of a provider in place of its earlier ones."""
        earlier = self._registrations.get(id(provider))
        keys = self._registry.replace(earlier.keys if earlier else (), handlers)
        self._registrations[id(provider)] = _Registration(provider, keys)

    def _give_up(self, item: Item, error: Exception) -> None:
        if not self._queue.settle(item, "failed"):
            return
        name = item.subject if item.is_module_name else describe(item.subject)
        attempts = item.attempts + 1
        self._failures.append(DiscoveryFailure(name, error, attempts))
        _log.error(
            "cannot discover provider %s, gave up after %d attempts: %s: %s",
            name,
            attempts,
            type(error).__name__,
            error,
            extra={"provider": name, "attempts": attempts},
        )


_PERMANENT: Final = (DiscoveryError, ConfigError)
_TRY_ONCE: Final = RetryPolicy(max_retries=0)


def _policy_for(policy: RetryPolicy, error: Exception) -> RetryPolicy:
    """The policy to apply to an error; permanent ones are not retried."""
    return _TRY_ONCE if isinstance(error, _PERMANENT) else policy
