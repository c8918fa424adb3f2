"""The consumer: reads, routes, handles and settles events; bounded and drained."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from evmon._clock import Clock
from evmon._consumer.breaker import Breaker
from evmon._consumer.dead_letters import given_up, refused, undecodable
from evmon._consumer.workers import Call, Work, Workers
from evmon._events import Event, decode
from evmon._failpoints import ON, reach
from evmon._handlers.registry import Registry, Route
from evmon._retry import Retrier
from evmon._settings.configs import DEFAULT_LIMITS, ConsumerConfig, EventLimits
from evmon._settings.retry_policy import RetryPolicy
from evmon._telemetry.recorders import ConsumeRecorder
from evmon._transports.base import DeadLetter, Received, Redelivery, Transport
from evmon.errors import InvalidEventError, TransportError

MAX_PLANS: Final = 4096

RELEASE_WITHIN: Final = 1.0
"""Seconds to release unfinished events; failing that, their lease expires."""

_RECONNECT: Final = RetryPolicy()
"""Delays between attempts to reach the transport; handlers have their own policies."""

_LATER: Final = 0.5
"""Seconds until an event is retried whose handlers may still be discovered."""

_LOOK: Final = 0.1
"""Seconds between checks of whether a pause is over, or the consumer is stopping."""

_log = logging.getLogger("evmon.consumer")


class Consumer:
    """Handles the events of a transport.

    An event with several handlers is settled when all of them are done; they fail and
    are retried independently.

    Args:
        transport: delivers the events.
        registry: finds the handlers.
        config: sizes and times.
        policy: for handlers without one of their own.
        retrier: applies policies.
        recorder: records metrics.
        clock: time source.
        limits: maximum size and depth of an event.
        awaits_handlers: whether handlers are still being discovered; until then, an
            event without a handler is retried later.
    """

    def __init__(
        self,
        transport: Transport,
        registry: Registry,
        config: ConsumerConfig,
        policy: RetryPolicy,
        retrier: Retrier,
        recorder: ConsumeRecorder,
        clock: Clock,
        limits: EventLimits = DEFAULT_LIMITS,
        awaits_handlers: Callable[[], bool] = lambda: False,
    ) -> None:
        self._transport = transport
        self._registry = registry
        self._config = config
        self._policy = policy
        self._recorder = recorder
        self._clock = clock
        self._limits = limits
        self._awaits_handlers = awaits_handlers
        self._breaker = Breaker(
            config.breaker_limit_percent,
            config.breaker_calls,
            config.breaker_pause,
            clock,
        )
        self._open: dict[int, Received] = {}
        self._workers = Workers(
            config,
            retrier,
            self._breaker,
            recorder.error_types,
            self._open,
            self._succeeded,
            self._end,
            self._count_in_flight,
            clock,
        )
        self._plans: dict[Route, tuple[Call, ...]] = {}
        self._counted = 0
        self._changed = asyncio.Event()
        self._stopping = False
        self._drain_by = inf
        self._reading = anyio.CancelScope()

    @property
    def in_flight(self) -> int:
        """Number of events read and not yet settled."""
        return len(self._open)

    async def run(self) -> None:
        """Handle events until `stop`, then drain."""
        loop = asyncio.get_running_loop()

        def handlers_changed(_: int) -> None:
            loop.call_soon_threadsafe(self._changed.set)

        unobserve = self._registry.observe(handlers_changed)
        self._transport.watch(self._lost)
        try:
            async with anyio.create_task_group() as group:
                try:
                    with self._reading:
                        await self._read_loop(group)
                    await self._drain(group)
                finally:
                    self._workers.cancelling()
                    group.cancel_scope.cancel()
        finally:
            unobserve()
        with anyio.move_on_after(RELEASE_WITHIN, shield=True):
            await self._let_go()

    def stop(self, drain_timeout: float | None = None) -> None:
        """Stop reading; `run` returns when all events in flight are settled.

        Args:
            drain_timeout: seconds to wait for that; by default as configured.
        """
        if drain_timeout is None:
            drain_timeout = self._config.drain_timeout
        self._drain_by = anyio.current_time() + drain_timeout
        self._stopping = True
        # A read ends by itself, unless the server is silent: it is not waited for then.
        self._reading.deadline = self._drain_by
        self._changed.set()
        self._transport.interrupt()

    async def _read_loop(self, group: TaskGroup) -> None:
        failures = 0
        while not self._stopping:
            self._changed.clear()
            free = self._config.max_concurrency - len(self._open)
            if free <= 0 or not len(self._registry):
                await self._changed.wait()
                continue
            if self._breaker.is_open:
                if not self._breaker.may_read():
                    await self._pause(self._breaker.wait())
                    continue
                free = 1
            started = self._clock.monotonic()
            wanted = min(free, self._config.batch_size)
            try:
                entries = await self._transport.read(
                    wanted, self._config.retry_check_interval
                )
            except TransportError as error:
                self._recorder.received(self._clock.monotonic() - started, error)
                delay = _RECONNECT.delay(failures) * self._clock.random()
                _log.warning("reading failed, retrying in %.2f s: %s", delay, error)
                failures += 1
                await self._pause(delay)
                continue
            failures = 0
            if entries:
                if ON:
                    reach("after_read")
                self._recorder.received(self._clock.monotonic() - started)
                self._accept(entries, group)
                if len(entries) < wanted:
                    # Nothing else is waiting: let handlers run first, so that
                    # their acks go out with the next read.
                    await asyncio.sleep(0)
            else:
                self._breaker.nothing_to_try()

    async def _pause(self, seconds: float) -> None:
        """Sleep, but wake up to stop."""
        end = self._clock.monotonic() + seconds
        while not self._stopping and (left := end - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left, _LOOK))

    def _accept(self, entries: Sequence[Received], group: TaskGroup) -> None:
        """Decode and route entries, and queue them for the workers."""
        labels: Counter[str] = Counter()
        many: dict[Call, list[Work]] = {}
        for received in entries:
            self._open[id(received)] = received
            try:
                event = decode(received.raw, self._limits)
            except InvalidEventError as error:
                labels[self._registry.match("").label] += 1
                letter = undecodable(error, received)
                group.start_soon(self._settle, received, letter, None)
                continue
            route = self._registry.match(event.type)
            labels[route.label] += 1
            calls = self._plan(route)
            if received.handlers:
                calls = tuple(c for c in calls if c.handler.key in received.handlers)
            refusal = self._refusal(received, event, calls)
            if refusal is not None:
                group.start_soon(self._settle, received, *refusal)
                continue
            work = Work(received, event, len(calls), received.attempts)
            if received.handlers:
                self._note_missing(work, calls)
                if not calls:
                    group.start_soon(self._end, work)
                    continue
            if not calls:
                self._succeeded(received)
                continue
            for call in calls:
                # A redelivered event is handled alone: it may have failed its batch.
                if call.takes_many and not received.redelivered:
                    many.setdefault(call, []).append(work)
                else:
                    self._workers.add(work, call)
        for call, works in many.items():
            self._workers.add_many(works, call)
        for route_label, count in labels.items():
            self._recorder.consumed(route_label, count)
        self._count_in_flight()
        self._workers.wake(group)

    def _refusal(
        self, received: Received, event: "Event[Any]", calls: tuple[Call, ...]
    ) -> tuple[DeadLetter | None, Redelivery | None] | None:
        """The outcome of an event that no handler is called for; None if one is."""
        if received.deliveries > self._config.max_deliveries:
            message = f"delivered {received.deliveries} times and never settled"
            return refused(event, "max_deliveries", received, message), None
        if calls or received.handlers:
            return None
        if self._awaits_handlers():
            return None, Redelivery(_LATER, received.attempts, ())
        if self._config.ignore_unknown:
            return None
        message = f"no handler for {event.type:.255}"
        return refused(event, "unknown_type", received, message), None

    def _note_missing(self, work: Work, calls: tuple[Call, ...]) -> None:
        """Handlers that a retry is for may be gone, or not here yet."""
        here = {call.handler.key for call in calls}
        for name in work.received.handlers:
            if name in here:
                continue
            if self._awaits_handlers():
                work.again.append((name, _LATER))
            else:
                gone = InvalidEventError(
                    "unknown_type", f"handler no longer registered: {name}"
                )
                work.dead.append((name, gone))

    def _plan(self, route: Route) -> tuple[Call, ...]:
        calls = self._plans.get(route)
        if calls is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            calls = self._plans[route] = tuple(
                Call(
                    handler,
                    self._recorder.handler(handler.name, handler.pattern),
                    handler.retry or self._policy,
                    handler.call_many is not None,
                )
                for handler in route.handlers
            )
        return calls

    def _lost(self, received: Received) -> None:
        """Stop handling an entry that another consumer has reclaimed."""
        if id(received) in self._open:
            self._done(received)
            self._workers.drop(received)

    def _succeeded(self, received: Received) -> None:
        """Acknowledge an entry: all of its handlers succeeded."""
        self._transport.ack(received)
        self._done(received)

    async def _end(self, work: Work) -> None:
        """Settle an event for which some handlers failed or asked for a retry."""
        letter = again = None
        if work.dead:
            letter = given_up(work.event, work.dead, work.attempts)
        if work.again:
            delay = min(delay for _, delay in work.again)
            names = tuple(name for name, _ in work.again)
            again = Redelivery(delay, work.attempts, names)
        await self._settle(work.received, letter, again)

    async def _settle(
        self, received: Received, letter: DeadLetter | None, again: Redelivery | None
    ) -> None:
        """Settle an entry, retrying until the transport accepts it."""
        n = 0
        while True:
            try:
                ours = await self._transport.settle(received, letter, again)
                break
            except TransportError as error:
                _log.warning("cannot settle event %s, retrying: %s", received.id, error)
                await self._clock.sleep(_RECONNECT.delay(n) * self._clock.random())
                n += 1
        if letter is not None and ours:
            self._recorder.dead_lettered(letter.reason)
            _log.warning(
                "event %s was dead-lettered (%s): %s",
                received.id,
                letter.reason,
                letter.error_message,
                extra={"reason": letter.reason, "entry_id": received.id},
            )
        self._done(received)
        self._count_in_flight()

    def _done(self, received: Received) -> None:
        self._open.pop(id(received), None)
        self._changed.set()

    def _count_in_flight(self) -> None:
        """Update the gauge of events in flight, once for many events."""
        change = len(self._open) - self._counted
        if change:
            self._counted += change
            self._recorder.in_flight(change)

    async def _drain(self, group: TaskGroup) -> None:
        """Wait for events in flight; also handle those that only this process can."""
        with anyio.CancelScope(deadline=self._drain_by):
            while self._open or self._transport.backlog:
                if ON:
                    reach("during_drain")
                self._changed.clear()
                free = self._config.max_concurrency - len(self._open)
                if free > 0 and self._transport.backlog:
                    self._accept(await self._transport.read(free, 0), group)
                else:
                    await self._changed.wait()

    async def _let_go(self) -> None:
        """Flush acknowledgements and release unfinished events."""
        left = list(self._open.values())
        self._open.clear()
        self._count_in_flight()
        try:
            if left:
                _log.warning(
                    "released %d events for redelivery: not handled within the drain timeout",
                    len(left),
                )
                await self._transport.release(left)
            await self._transport.flush()
        except TransportError as error:
            _log.warning(
                "cannot release events, they stay pending until reclaimed: %s", error
            )
