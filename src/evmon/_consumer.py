"""The consumer: reads, routes, calls, settles; bounded, and drained when it stops."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from evmon._clock import Clock
from evmon._config import ConsumerConfig
from evmon._events import DEFAULT_LIMITS, Event, EventLimits, decode
from evmon._handlers import FIRST_DELIVERY, Delivery, Handler
from evmon._registry import Registry, Route
from evmon._retry import Retrier, RetryPolicy
from evmon._telemetry.recorders import ConsumeRecorder, HandlerSeries
from evmon._transports.base import Again, DeadLetter, Received, Transport
from evmon.errors import (
    DeadLetterReason,
    InvalidEventError,
    Reject,
    TransportError,
)

IN_PROCESS_DELAY: Final = 1.0
"""Seconds up to which a retry waits in the process; longer ones wait on the transport."""

MAX_PLANS: Final = 4096
MAX_MESSAGE: Final = 1024

_log = logging.getLogger("evmon.consumer")


@dataclass(slots=True, eq=False)
class _Call:
    """A handler with all that a call of it needs, made once."""

    handler: Handler
    series: HandlerSeries
    policy: RetryPolicy


@dataclass(slots=True, eq=False)
class _Work:
    """An event on its way through its handlers."""

    received: Received
    event: "Event[Any]"
    open_calls: int
    attempts: int
    again: list[tuple[str, float]] = field(default_factory=list)
    dead: list[tuple[str, DeadLetterReason, BaseException]] = field(
        default_factory=list
    )


class Consumer:
    """Handles the events of a transport.

    A fixed number of workers take events in turn and await handlers directly: there is
    no task per event. An event with several handlers is settled when all of them are
    through; each one's failure is its own.

    Args:
        transport: gives the events.
        registry: knows the handlers.
        config: sizes and times.
        policy: for handlers without one of their own.
        retrier: carries policies out.
        recorder: measures.
        clock: time.
        limits: of an event's size and depth.
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
    ) -> None:
        self._transport = transport
        self._registry = registry
        self._config = config
        self._policy = policy
        self._retrier = retrier
        self._recorder = recorder
        self._clock = clock
        self._limits = limits
        self._plans: dict[Route, tuple[_Call, ...]] = {}
        self._todo: deque[tuple[_Work, _Call, int]] = deque()
        self._open: dict[int, Received] = {}
        self._running: dict[asyncio.Task[Any], Received] = {}
        self._counted = 0
        self._idle: deque[asyncio.Future[None]] = deque()
        self._workers = 0
        self._waking = False
        self._limiter = anyio.CapacityLimiter(config.max_concurrency)
        self._changed = asyncio.Event()
        self._stopping = False
        self._drain_timeout = config.drain_timeout
        self._cancelling = False

    @property
    def in_flight(self) -> int:
        """Events read and not settled yet."""
        return len(self._open)

    async def run(self) -> None:
        """Handle events until `stop`, then drain."""
        loop = asyncio.get_running_loop()
        self._registry.observe(lambda _: loop.call_soon_threadsafe(self._changed.set))
        self._transport.watch(self._lost)
        async with anyio.create_task_group() as group:
            try:
                await self._read_loop(group)
                await self._drain(group)
            finally:
                self._cancelling = True
                group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._let_go()

    def stop(self, drain_timeout: float | None = None) -> None:
        """Stop reading; `run` returns when what is in flight is settled.

        Args:
            drain_timeout: seconds to wait for that; the configured ones by default.
        """
        if drain_timeout is not None:
            self._drain_timeout = drain_timeout
        self._stopping = True
        self._changed.set()
        self._transport.interrupt()

    async def _read_loop(self, group: TaskGroup) -> None:
        failures = 0
        while not self._stopping:
            self._changed.clear()
            free = self._config.max_concurrency - len(self._open)
            if not free or not len(self._registry):
                await self._changed.wait()
                continue
            started = self._clock.monotonic()
            try:
                entries = await self._transport.read(
                    min(free, self._config.batch_size), self._config.max_wait
                )
            except TransportError as error:
                self._recorder.received(self._clock.monotonic() - started, error)
                delay = self._policy.delay(failures) * self._clock.random()
                _log.warning("reading failed, again in %.2f s: %s", delay, error)
                failures += 1
                await self._clock.sleep(delay)
                continue
            failures = 0
            if entries:
                self._recorder.received(self._clock.monotonic() - started)
                self._accept(entries, group)

    def _accept(self, entries: Sequence[Received], group: TaskGroup) -> None:
        """Decode and route what was read, and hand it to the workers."""
        labels: Counter[str] = Counter()
        for received in entries:
            self._open[id(received)] = received
            try:
                event = decode(received.raw, self._limits)
            except InvalidEventError as error:
                route_label = self._registry.match("").label
                labels[route_label] += 1
                letter = DeadLetter(
                    error.reason, *_describe(error), attempts=received.attempts
                )
                group.start_soon(self._settle, received, letter, None)
                continue
            route = self._registry.match(event.type)
            labels[route.label] += 1
            calls = self._plan(route)
            if received.handlers:
                calls = tuple(c for c in calls if c.handler.name in received.handlers)
            letter = self._refusal(received, event, calls)
            if letter is not None:
                group.start_soon(self._settle, received, letter, None)
                continue
            work = _Work(received, event, len(calls), received.attempts)
            for call in calls:
                self._todo.append((work, call, received.attempts))
        for route_label, count in labels.items():
            self._recorder.consumed(route_label, count)
        self._count_in_flight()
        self._wake_worker(group)

    def _refusal(
        self, received: Received, event: "Event[Any]", calls: tuple[_Call, ...]
    ) -> DeadLetter | None:
        """Why an event is not handed to any handler, if so."""
        if received.deliveries > self._config.max_deliveries:
            message = f"delivered {received.deliveries} times and never settled"
            return _letter(event, "max_deliveries", received, message)
        if not calls:
            message = f"no handler for {event.type:.255}"
            return _letter(event, "unknown_type", received, message)
        return None

    def _plan(self, route: Route) -> tuple[_Call, ...]:
        calls = self._plans.get(route)
        if calls is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            calls = self._plans[route] = tuple(
                _Call(
                    handler,
                    self._recorder.handler(handler.name, handler.pattern),
                    handler.retry or self._policy,
                )
                for handler in route.handlers
            )
        return calls

    def _wake_worker(self, group: TaskGroup) -> None:
        """Let one more worker look at what is to do; it wakes the next one.

        Only one is on its way at a time, so handlers that never wait share one worker.
        """
        if not self._todo or self._waking:
            return
        while self._idle:
            waiting = self._idle.popleft()
            if not waiting.done():
                waiting.set_result(None)
                self._waking = True
                return
        if self._workers < self._config.max_concurrency:
            self._workers += 1
            self._waking = True
            group.start_soon(self._work, group)

    async def _work(self, group: TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        while True:
            self._waking = False
            while self._todo:
                work, call, n = self._todo.popleft()
                if self._todo:
                    self._wake_worker(group)
                await self._handle(work, call, n, group, task)
            self._count_in_flight()
            waiting = loop.create_future()
            self._idle.append(waiting)
            await waiting

    async def _handle(
        self,
        work: _Work,
        call: _Call,
        n: int,
        group: TaskGroup,
        task: "asyncio.Task[Any]",
    ) -> None:
        """Call a handler once (attempt `n`, from 0) and take note of what came of it."""
        received = work.received
        if id(received) not in self._open:
            return
        started = self._clock.monotonic()
        failure: Exception | None = None
        self._running[task] = received
        try:
            await self._call(work, call.handler, n)
        except asyncio.CancelledError as error:
            if self._cancelling:
                raise
            _forget_cancellation()
            failure = RuntimeError("the handler cancelled itself")
            failure.__cause__ = error
        except Exception as error:  # noqa: BLE001 - handlers are other people's code
            failure = error
        finally:
            del self._running[task]
        if id(received) not in self._open:
            return
        if failure is not None:
            self._failed(work, call, n, failure, started, group)
        else:
            call.series.succeeded(max(self._clock.monotonic() - started, 0.0))
            work.open_calls -= 1
        if work.open_calls:
            return
        if work.again or work.dead:
            await self._end(work)
        elif failure is None:
            self._transport.ack(received)
            self._done(received)

    async def _call(self, work: _Work, handler: Handler, n: int) -> None:
        received = work.received
        if n or received.deliveries > 1:
            delivery = Delivery(n + 1, received.deliveries > 1)
        else:
            delivery = FIRST_DELIVERY
        if self._config.handler_timeout is not None:
            with anyio.fail_after(self._config.handler_timeout):
                await self._invoke(handler, work.event, delivery)
        else:
            await self._invoke(handler, work.event, delivery)

    async def _invoke(
        self, handler: Handler, event: "Event[Any]", delivery: Delivery
    ) -> None:
        if handler.is_async:
            result = handler.call(event, delivery)
        else:
            result = await anyio.to_thread.run_sync(
                handler.call,
                event,
                delivery,
                abandon_on_cancel=True,
                limiter=self._limiter,
            )
        if hasattr(result, "__await__"):
            await result

    def _failed(
        self,
        work: _Work,
        call: _Call,
        n: int,
        error: Exception,
        started: float,
        group: TaskGroup,
    ) -> None:
        name = call.handler.name
        error_type = self._recorder.error_types.of(error)
        call.series.failed(max(self._clock.monotonic() - started, 0.0), error_type)
        delay = self._retrier.next_delay(call.policy, n, error)
        if delay is not None and delay <= IN_PROCESS_DELAY:
            group.start_soon(self._again, work, call, n + 1, delay, group)
            return
        work.attempts = max(work.attempts, n + 1)
        work.open_calls -= 1
        if delay is not None:
            work.again.append((name, delay))
            return
        work.dead.append((name, _reason(error), error))
        _log.error(
            "handler %s gave up %s after %d attempts: %s: %s",
            name,
            work.event.id,
            n + 1,
            error_type,
            _short(error),
            extra={"handler": name, "event_id": work.event.id, "attempts": n + 1},
        )

    def _lost(self, received: Received) -> None:
        """Stop handling what another consumer handles now; it is not ours to end."""
        self._done(received)
        for task, running in self._running.items():
            if running is received:
                task.cancel()

    async def _again(
        self, work: _Work, call: _Call, n: int, delay: float, group: TaskGroup
    ) -> None:
        await self._clock.sleep(delay)
        self._todo.append((work, call, n))
        self._wake_worker(group)

    async def _end(self, work: _Work) -> None:
        """Settle an event of which some handler failed or wants another try."""
        letter = again = None
        if work.dead:
            _, reason, error = work.dead[0]
            letter = DeadLetter(
                reason,
                *_describe(error),
                tuple(name for name, _, _ in work.dead),
                work.attempts,
                *_facts(work.event),
            )
        if work.again:
            delay = min(delay for _, delay in work.again)
            names = tuple(name for name, _ in work.again)
            again = Again(delay, work.attempts, names)
        await self._settle(work.received, letter, again)

    async def _settle(
        self, received: Received, letter: DeadLetter | None, again: Again | None
    ) -> None:
        """Settle, however long the transport needs; unsettled it stays pending."""
        n = 0
        while True:
            try:
                ours = await self._transport.settle(received, letter, again)
                break
            except TransportError as error:
                _log.warning("event %s could not be settled: %s", received.id, error)
                await self._clock.sleep(self._policy.delay(n) * self._clock.random())
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
        """Bring the gauge of events in flight up to date; once for many of them."""
        change = len(self._open) - self._counted
        if change:
            self._counted += change
            self._recorder.in_flight(change)

    async def _drain(self, group: TaskGroup) -> None:
        """Wait for what is in flight, and handle what would end with the process."""
        with anyio.move_on_after(self._drain_timeout):
            while self._open or self._transport.backlog:
                self._changed.clear()
                free = self._config.max_concurrency - len(self._open)
                if free and self._transport.backlog:
                    self._accept(await self._transport.read(free, 0), group)
                else:
                    await self._changed.wait()

    async def _let_go(self) -> None:
        """Send what is settled, give back what is not."""
        left = list(self._open.values())
        self._open.clear()
        self._count_in_flight()
        try:
            if left:
                _log.warning("%d events were not done in time, released", len(left))
                await self._transport.release(left)
            await self._transport.flush()
        except TransportError as error:
            _log.warning("events stay pending until they are reclaimed: %s", error)


def _reason(error: BaseException) -> DeadLetterReason:
    if isinstance(error, InvalidEventError):
        return error.reason
    return "rejected" if isinstance(error, Reject) else "handler_error"


def _letter(
    event: "Event[Any]", reason: DeadLetterReason, received: Received, message: str
) -> DeadLetter:
    """The dead letter of an event that no handler was called for."""
    handlers, attempts = received.handlers, received.attempts
    return DeadLetter(reason, "", message, handlers, attempts, *_facts(event))


def _facts(event: "Event[Any]") -> tuple[str, str, str]:
    return event.type, event.id, event.traceparent or ""


def _describe(error: BaseException) -> tuple[str, str]:
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}"[:MAX_MESSAGE], _short(error)


def _short(error: BaseException) -> str:
    """An error's text, on one line and printable whatever it holds."""
    text = " ".join(str(error).split())[:MAX_MESSAGE]
    return "".join(c if c.isprintable() else "?" for c in text)


def _forget_cancellation() -> None:
    """Take back a `cancel` that a handler called on its own task (Python 3.11)."""
    task: Any = asyncio.current_task()
    if hasattr(task, "uncancel"):
        task.uncancel()
