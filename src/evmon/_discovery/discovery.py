"""Discovery: a queue of providers that are scanned in batches."""

import importlib
import logging
import math
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from evmon._clock import Clock
from evmon._discovery.cache import MetadataCache
from evmon._discovery.failures import DiscoveryFailure, Failures, Fault
from evmon._discovery.left_out import warn_of_left_out
from evmon._discovery.providers import (
    declared,
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
from evmon._text import one_line
from evmon._threads import Threads
from evmon._user_code import definition_line, user_line
from evmon.errors import ConfigError, DiscoveryError

_log = logging.getLogger("evmon.discovery")


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
        slow_after: seconds after which the scan of a provider is logged as slow.

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
        slow_after: float = math.inf,
    ) -> None:
        self._registry = registry
        self._config = config
        self._cache = cache
        self._policy = policy
        self._retrier = retrier
        self._recorder = recorder
        self._clock = clock
        self._slow_after = slow_after
        self._queue = ProviderQueue(recorder, clock)
        self._threads: Threads[str] = Threads()
        self._registrations: dict[int, _Registration] = {}
        self._failures = Failures(strict=config.strict)

    @property
    def failures(self) -> tuple[DiscoveryFailure, ...]:
        """The last 1,000 providers that failed for good, oldest first.

        Without those that were unregistered, or replaced by one that works.
        """
        return self._failures.kept

    @property
    def problem(self) -> str:
        """Names the providers of the start that are missing; empty if there are none."""
        return self._failures.problem

    @property
    def unfinished(self) -> list[str]:
        """Names of providers whose import or constructor has not returned; thread-safe."""
        return self._threads.running

    @property
    def pending(self) -> int:
        """Number of providers queued, being scanned, or waiting for a retry."""
        return len(self._queue)

    @property
    def scanning(self) -> bool:
        """Whether a provider is queued or being scanned; not while all wait for retries."""
        return not self._queue.is_quiet

    @property
    def expects_more(self) -> bool:
        """Whether a provider that was queued in the last 30 s may still bring handlers."""
        return self._queue.expects_more

    def register(self, provider: Any) -> None:
        """Queue a provider; thread-safe, returns at once.

        Args:
            provider: an instance, class, module or function.
        """
        self._queue.put(Item(provider, at_start=self._failures.starting))

    def discover(self, package: str | ModuleType) -> None:
        """Queue a module, or a package and its modules; thread-safe, returns at once.

        Abstract classes and protocols are skipped, and so are classes of which an
        instance is registered.

        Args:
            package: a module or package, or its dotted name.
        """
        name = package if isinstance(package, str) else package.__name__
        self._queue.put(
            Item(name, is_module_name=True, at_start=self._failures.starting)
        )

    def unregister(self, provider: Any) -> int:
        """Remove the handlers of a provider, or withdraw it from the queue.

        Args:
            provider: the same object that was passed to `register`.

        Returns:
            Number of handlers removed; 0 if none had been registered yet.
        """
        self._cache.invalidate(provider)
        self._queue.withdraw(provider)
        self._failures.forget(provider)
        registration = self._registrations.pop(id(provider), None)
        if registration is None:
            return 0
        return self._registry.remove(registration.keys)

    async def wait_until_quiet(self) -> None:
        """Wait until everything in the queue has been scanned once."""
        await self._queue.wait_until_quiet()

    def end_start(self) -> None:
        """End the start: the failures of what is registered later are only logged.

        Raises:
            DiscoveryError: with ``strict=True``, a module could not be imported or a
                provider can never work; one line per error.
        """
        self._failures.end_start()

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
            self._failures.forget(item.subject)
            return
        started = self._clock.monotonic()
        try:
            provider = item.subject
            if item.is_module_name:
                provider = await self._import(item)
            handlers, faults = await self._handlers_of(provider)
        except Exception as error:  # noqa: BLE001 - providers are user code
            self._warn_if_slow(item, started)
            self._retry_or_give_up(item, error, retries)
            return
        self._warn_if_slow(item, started)
        await turn.wait()
        if faults:
            if not self._give_up(item, faults, permanent=True):
                return
        elif not self._queue.settle(item, "registered" if handlers else "empty"):
            return
        else:
            self._failures.forget(item.subject)
        warn_of_left_out(provider, self._known)
        if handlers:
            self._register(provider, handlers)
        elif not faults and not item.is_module_name:
            _log.warning(
                "%s has no handlers: declare them with @event_handler",
                describe(provider),
            )

    def _warn_if_slow(self, item: Item, started: float) -> None:
        elapsed = self._clock.monotonic() - started
        if elapsed > self._slow_after:
            name = _name_of(item)
            _log.warning(
                "discovering provider %s took %.1f s: is its import or constructor slow?",
                name,
                elapsed,
                extra={"provider": name, "seconds": elapsed},
            )

    def _retry_or_give_up(
        self, item: Item, error: Exception, retries: TaskGroup
    ) -> None:
        permanent = isinstance(error, _PERMANENT) or (
            item.is_module_name and self._failures.ends_start(item)
        )
        policy = _TRY_ONCE if permanent else self._policy
        delay = self._retrier.next_delay(policy, item.attempts, error)
        if delay is None:
            name = _name_of(item)
            line = user_line(error, name) or definition_line(item.subject)
            self._give_up(item, [Fault(error, line)], permanent=permanent)
        elif item in self._queue:
            self._failures.failed_once(item, _name_of(item))
            item.attempts += 1
            retries.start_soon(self._put_after, item, delay)

    async def _put_after(self, item: Item, delay: float) -> None:
        await self._clock.sleep(delay)
        self._queue.put(item)

    async def _import(self, item: Item) -> ModuleType:
        name = item.subject
        # An import runs arbitrary code and may be slow, so not on the event loop.
        module = await in_thread(self._threads, importlib.import_module, name)
        for info in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
            if not info.name.endswith(".__main__"):
                self._queue.put(
                    Item(info.name, is_module_name=True, at_start=item.at_start)
                )
        for value in list(vars(module).values()):
            if (
                is_provider(value, name)
                and not self._has_instance_of(value)
                and self._cache.get_or_scan(value, scan)
            ):
                self._queue.put(Item(value, at_start=item.at_start))
        return module

    def _has_instance_of(self, kind: type) -> bool:
        """Whether an instance was registered; another one would handle events twice."""
        return any(type(provider) is kind for provider in self._known())

    def _known(self) -> list[Any]:
        """Providers that are registered, and subjects of items in the queue."""
        registered = [r.provider for r in list(self._registrations.values())]
        return [*registered, *self._queue.subjects]

    async def _handlers_of(self, provider: Any) -> tuple[list[Handler], list[Fault]]:
        """The handlers of a provider, and what is wrong with others of it."""
        specs = self._cache.get_or_scan(provider, scan)
        target = provider
        if isinstance(provider, type) and needs_instance(provider, specs):
            target = await in_thread(self._threads, instantiate, provider)
        bound = [_bind(target, spec, provider) for spec in specs]
        handlers = [result for result in bound if isinstance(result, Handler)]
        return handlers, [result for result in bound if isinstance(result, Fault)]

    def _register(self, provider: Any, handlers: list[Handler]) -> None:
        """Register the handlers of a provider in place of its earlier ones."""
        earlier = self._registrations.get(id(provider))
        keys = self._registry.replace(earlier.keys if earlier else (), handlers)
        self._registrations[id(provider)] = _Registration(provider, keys)

    def _give_up(self, item: Item, faults: Sequence[Fault], *, permanent: bool) -> bool:
        """Report a failure; returns False if the provider had been withdrawn."""
        if not self._queue.settle(item, "failed"):
            return False
        name, attempts = _name_of(item), item.attempts + 1
        self._failures.gave_up(item, name, faults, permanent=permanent)
        for fault in faults:
            _log.error(
                "cannot discover provider %s, gave up after %d attempts: %s: %s",
                name,
                attempts,
                type(fault.error).__name__,
                f"{one_line(fault.error)}{fault.line}",
                extra={"provider": name, "attempts": attempts},
            )
        return True


_PERMANENT: Final = (DiscoveryError, ConfigError)
_TRY_ONCE: Final = RetryPolicy(max_retries=0)


def _name_of(item: Item) -> str:
    return item.subject if item.is_module_name else describe(item.subject)


def _bind(target: Any, spec: HandlerSpec, provider: Any) -> Handler | Fault:
    try:
        return bind(target, spec)
    except _PERMANENT as error:
        return Fault(error, definition_line(declared(provider, spec)))
