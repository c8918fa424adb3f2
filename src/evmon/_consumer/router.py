"""The router: decodes entries and finds the handlers to call for each."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

from evmon._clock import Clock
from evmon._consumer.dead_letters import refused, undecodable
from evmon._consumer.work import Call, Settlement, Work
from evmon._events import Event, decode
from evmon._handlers.registry import Registry, Route
from evmon._settings.configs import ConsumerConfig, EventLimits
from evmon._settings.retry_policy import RetryPolicy
from evmon._telemetry.recorders import ConsumeRecorder
from evmon._transports.base import Received, Redelivery
from evmon.errors import InvalidEventError

MAX_ROUTES: Final = 4096
"""Routes whose calls are cached, for each stream."""

_DISCOVERY_DELAY: Final = 0.5
"""Seconds until an event is redelivered whose handlers may still be discovered."""


class Router:
    """Decides for each entry which handlers are called, or how it is settled without.

    Args:
        registry: registry of handlers.
        config: maximum deliveries, and what to do with unknown event types.
        policy: retry policy of handlers without one of their own.
        recorder: recorder of consumed events, and maker of handlers' series.
        clock: source of time.
        limits: maximum size and depth of an event.
        awaits_handlers: whether handlers are still being discovered; until then, an
            event without a handler is retried later.
    """

    def __init__(
        self,
        registry: Registry,
        config: ConsumerConfig,
        *,
        policy: RetryPolicy,
        recorder: ConsumeRecorder,
        clock: Clock,
        limits: EventLimits,
        awaits_handlers: Callable[[], bool],
    ) -> None:
        self._registry = registry
        self._config = config
        self._policy = policy
        self._recorder = recorder
        self._clock = clock
        self._limits = limits
        self._awaits_handlers = awaits_handlers
        self._calls: defaultdict[str, dict[Route, tuple[Call, ...]]]
        self._calls = defaultdict(dict)

    def route(self, entries: Sequence[Received]) -> list[Work | Settlement]:
        """Decode and count entries.

        Returns:
            For each entry the work on it, or its settlement if no handler is called.
        """
        by_stream: defaultdict[str, Counter[str]] = defaultdict(Counter)
        routed = [
            self._route(received, by_stream[received.stream]) for received in entries
        ]
        for stream, labels in by_stream.items():
            for label, count in labels.items():
                self._recorder.consumed(label, count, stream)
        return routed

    def forget_calls(self) -> None:
        """Release the cached calls, and with them handlers that were removed."""
        self._calls.clear()

    def _route(self, received: Received, labels: Counter[str]) -> Work | Settlement:
        try:
            event = decode(received.raw, self._limits)
        except InvalidEventError as error:
            labels[self._registry.match("").label] += 1
            return Settlement(received, (undecodable(error, received),))
        route = self._registry.match(event.type)
        labels[route.label] += 1
        if received.deliveries > self._config.max_deliveries:
            message = f"delivered {received.deliveries} times and never settled"
            letter = refused(event, "max_deliveries", received, message)
            return Settlement(received, (letter,))
        calls = self._calls_of(route, received.stream)
        if received.handlers:
            return self._retry(received, event, calls)
        if calls:
            return Work(received, event, calls)
        return self._without_handlers(received, event)

    def _retry(
        self, received: Received, event: "Event[Any]", calls: tuple[Call, ...]
    ) -> Work | Settlement:
        """Route an event for which only some handlers are retried."""
        awaits_handlers = self._awaits_handlers()
        known = {call.handler.key for call in calls}
        keys = set(received.handlers)
        if not awaits_handlers:
            keys = {now for key in keys for now in _current_keys(key, calls)}
        calls = tuple(call for call in calls if call.handler.key in keys)
        work = Work(received, event, calls)
        now = self._clock.monotonic()
        for name in sorted(keys - known):
            if awaits_handlers:
                work.retry(name, received.attempts, now + _DISCOVERY_DELAY)
            else:
                message = f"handler no longer registered: {name}"
                error = InvalidEventError("unknown_type", message)
                work.give_up(name, received.attempts, error)
        return work if calls else work.settlement(now)

    def _without_handlers(self, received: Received, event: "Event[Any]") -> Settlement:
        if self._awaits_handlers():
            retry = Redelivery(_DISCOVERY_DELAY, received.attempts, ())
            return Settlement(received, (retry,))
        if self._config.ignore_unknown:
            return Settlement(received)
        message = f"no handler for {event.type:.255}"
        letter = refused(event, "unknown_type", received, message)
        return Settlement(received, (letter,))

    def _calls_of(self, route: Route, stream: str) -> tuple[Call, ...]:
        cache = self._calls[stream]
        calls = cache.get(route)
        if calls is None:
            if len(cache) >= MAX_ROUTES:
                cache.clear()
            calls = cache[route] = tuple(
                Call(
                    handler,
                    self._recorder.handler(handler.name, route.label, stream),
                    handler.retry or self._policy,
                    handler.call_many is not None,
                )
                for handler in route.handlers
            )
        return calls


def _current_keys(key: str, calls: Sequence[Call]) -> tuple[str, ...]:
    """The keys of the handlers that a retry names.

    Versions before 0.1.0 named a method after the class that defines it, with a number if
    several classes inherit it, in no certain order. Such a key stands for all of them:
    handling an event twice is allowed, losing it is not.
    """
    handlers = [call.handler for call in calls]
    former = key.partition("#")[0]
    same = [handler for handler in handlers if handler.former_name == former]
    renamed = any(handler.name != former for handler in same)
    if not renamed or any(handler.key == key for handler in handlers):
        return (key,)
    return tuple(handler.key for handler in same)
