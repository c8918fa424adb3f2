"""Workers: call handlers, retry them and report the outcome."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from evmon._clock import Clock
from evmon._consumer.breaker import Breaker
from evmon._events import FIRST_DELIVERY, Delivery, Event
from evmon._failpoints import ON, reach
from evmon._handlers.handlers import Handler
from evmon._retry import Retrier
from evmon._settings.configs import ConsumerConfig
from evmon._settings.retry_policy import RetryPolicy
from evmon._telemetry.labels import ErrorTypes
from evmon._telemetry.recorders import HandlerSeries
from evmon._text import one_line
from evmon._transports.base import Received
from evmon.errors import InvalidEventError, Reject, RetryLater, decisive_error

IN_PROCESS_DELAY: Final = 1.0
"""Longest retry delay in seconds kept in the process, not on the transport."""

_log = logging.getLogger("evmon.consumer")


@dataclass(slots=True, eq=False)
class Call:
    """A handler with everything needed to call it, built once."""

    handler: Handler
    series: HandlerSeries
    policy: RetryPolicy
    takes_many: bool = False


@dataclass(slots=True, eq=False)
class Work:
    """An event being handled.

    Attributes:
        received: its entry on the transport.
        event: the event.
        open_calls: number of handlers that are not done.
        attempts: the most attempts that any of its handlers made.
        again: handlers to retry later, each with the delay in seconds.
        dead: handlers that failed for good, each with its error.
    """

    received: Received
    event: "Event[Any]"
    open_calls: int
    attempts: int
    again: list[tuple[str, float]] = field(default_factory=list)
    dead: list[tuple[str, BaseException]] = field(default_factory=list)


class Workers:
    """Long-lived tasks that share a queue of calls; there is no task for each event.

    Args:
        config: concurrency and handler timeout.
        retrier: applies retry policies.
        breaker: circuit breaker.
        error_types: labels of errors.
        in_flight: entries by `id`; an entry removed from it is no longer handled.
        succeeded: called with an entry when all of its handlers succeeded.
        ended: called with an event that some handlers failed on or retry later.
        idle: called when the queue is empty.
        clock: time source.
    """

    def __init__(
        self,
        config: ConsumerConfig,
        retrier: Retrier,
        breaker: Breaker,
        error_types: ErrorTypes,
        in_flight: Mapping[int, Received],
        succeeded: Callable[[Received], None],
        ended: Callable[[Work], Awaitable[None]],
        idle: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._limit = config.max_concurrency
        self._timeout = config.handler_timeout
        self._retrier = retrier
        self._breaker = breaker
        self._error_types = error_types
        self._in_flight = in_flight
        self._succeeded = succeeded
        self._ended = ended
        self._out_of_work = idle
        self._clock = clock
        self._monotonic = clock.monotonic
        self._todo: deque[tuple[Work | Sequence[Work], Call, int]] = deque()
        self._running: dict[asyncio.Task[Any], Received] = {}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._count = 0
        self._waking = False
        self._limiter = anyio.CapacityLimiter(config.max_concurrency)
        self._cancelling = False

    def add(self, work: Work, call: Call) -> None:
        """Queue a call; call `wake` to have it taken."""
        self._todo.append((work, call, work.received.attempts))

    def add_many(self, works: Sequence[Work], call: Call) -> None:
        """Queue one call with many events, all delivered for the first time."""
        if len(works) == 1:
            self.add(works[0], call)
        else:
            self._todo.append((works, call, 0))

    def wake(self, group: TaskGroup) -> None:
        """Wake or start one worker; it wakes the next one if work is left.

        Only one is being woken at a time, so handlers that never wait share a worker.
        """
        if not self._todo or self._waking:
            return
        while self._idle:
            waiting = self._idle.popleft()
            if not waiting.done():
                waiting.set_result(None)
                self._waking = True
                return
        if self._count < self._limit:
            self._count += 1
            self._waking = True
            group.start_soon(self._work, group)

    def drop(self, received: Received) -> None:
        """Cancel the handlers of an event that is no longer in flight."""
        for task, running in self._running.items():
            if running is received:
                task.cancel()

    def cancelling(self) -> None:
        """From now on a cancellation is meant for the worker, not its handler."""
        self._cancelling = True

    async def _work(self, group: TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        while True:
            self._waking = False
            while self._todo:
                work, call, n = self._todo.popleft()
                if self._todo:
                    self.wake(group)
                if isinstance(work, Work):
                    await self._handle(work, call, n, group, task)
                else:
                    await self._handle_many(work, call, group)
            self._out_of_work()
            waiting = loop.create_future()
            self._idle.append(waiting)
            await waiting

    async def _handle(
        self,
        work: Work,
        call: Call,
        n: int,
        group: TaskGroup,
        task: "asyncio.Task[Any]",
    ) -> None:
        """Call a handler once (attempt `n`, from 0) and record the outcome."""
        if id(work.received) not in self._in_flight:
            return
        started = self._monotonic()
        failure: Exception | None = None
        self._running[task] = work.received
        try:
            await self._call(work, call.handler, n)
        except BaseException as error:  # noqa: BLE001 - handlers are user code
            failure = self._failure_of(error)
        finally:
            del self._running[task]
        if ON:
            reach("after_handler")
        if id(work.received) not in self._in_flight:
            return
        if failure is not None:
            self._failed(work, call, n, failure, started, group)
        else:
            call.series.succeeded(self._monotonic() - started)
            self._breaker.succeeded()
            work.open_calls -= 1
        if work.open_calls:
            return
        if work.dead or work.again:
            await self._ended(work)
        else:
            self._succeeded(work.received)

    async def _handle_many(
        self, works: Sequence[Work], call: Call, group: TaskGroup
    ) -> None:
        """Call a handler once with many events; if it fails, queue each one alone."""
        works = self._still_ours(works)
        if not works:
            return
        started = self._monotonic()
        failure: Exception | None = None
        try:
            await self._call_many(works, call.handler)
        except BaseException as error:  # noqa: BLE001 - handlers are user code
            failure = self._failure_of(error)
        if ON:
            reach("after_handler")
        took = self._monotonic() - started
        if failure is None:
            call.series.succeeded(took)
            self._breaker.succeeded()
            for work in self._still_ours(works):
                work.open_calls -= 1
                if work.open_calls:
                    continue
                if work.dead or work.again:
                    await self._ended(work)
                else:
                    self._succeeded(work.received)
            return
        error_type = self._error_types.of(failure)
        call.series.failed(took, error_type)
        _log.warning(
            "handler %s failed on a batch of %d events, retrying each alone: %s: %s",
            call.handler.key,
            len(works),
            error_type,
            one_line(failure),
        )
        for work in works:
            self.add(work, call)
        self.wake(group)

    def _still_ours(self, works: Sequence[Work]) -> list[Work]:
        return [work for work in works if id(work.received) in self._in_flight]

    def _failure_of(self, error: BaseException) -> Exception:
        """The failure of a handler; re-raises what was meant for the worker."""
        if isinstance(error, Exception):
            return error
        if isinstance(error, asyncio.CancelledError):
            if self._cancelling or anyio.current_effective_deadline() == -inf:
                raise error
            _forget_cancellation()
            failure = RuntimeError("the handler cancelled its own task")
        elif isinstance(error, (KeyboardInterrupt, GeneratorExit)):
            raise error
        else:  # such as SystemExit: fails the handler, does not end the service
            failure = RuntimeError(f"the handler raised {error!r:.200}")
        failure.__cause__ = error
        return failure

    def _call(self, work: Work, handler: Handler, n: int) -> Awaitable[Any]:
        received = work.received
        if n or received.deliveries > 1:
            delivery = Delivery(n + 1, received.deliveries > 1)
        else:
            delivery = FIRST_DELIVERY
        if handler.is_async and self._timeout is None:
            return handler.call(work.event, delivery)  # type: ignore[no-any-return]
        return self._guarded(handler, partial(handler.call, work.event, delivery))

    def _call_many(self, works: Sequence[Work], handler: Handler) -> Awaitable[Any]:
        assert handler.call_many is not None  # noqa: S101 - for the type checker
        events = [work.event for work in works]
        return self._guarded(handler, partial(handler.call_many, events))

    async def _guarded(self, handler: Handler, call: Callable[[], Any]) -> None:
        """Call a handler within its timeout, in a thread if it blocks."""
        result = call() if handler.is_async else await self._in_thread(handler, call)
        if not hasattr(result, "__await__"):
            return
        with anyio.move_on_after(self._timeout) as scope:
            await result
        if scope.cancelled_caught:
            raise TimeoutError(f"not done within {self._timeout:g} s (handler_timeout)")

    async def _in_thread(self, handler: Handler, call: Callable[[], Any]) -> Any:
        # A thread cannot be cancelled. Abandoning it would let it run concurrently with
        # the retry, and threads would pile up; so wait for it, and log that it is late.
        late = None
        if self._timeout is not None:
            loop = asyncio.get_running_loop()
            late = loop.call_later(self._timeout, self._log_late, handler)
        try:
            return await anyio.to_thread.run_sync(
                call, abandon_on_cancel=True, limiter=self._limiter
            )
        finally:
            if late is not None:
                late.cancel()

    def _log_late(self, handler: Handler) -> None:
        _log.warning(
            "handler %s has been running in a thread for more than %g s"
            " (handler_timeout): a thread cannot be cancelled; make it a coroutine function",
            handler.key,
            self._timeout,
        )

    def _failed(
        self,
        work: Work,
        call: Call,
        n: int,
        error: Exception,
        started: float,
        group: TaskGroup,
    ) -> None:
        name = call.handler.key
        error_type = self._error_types.of(error)
        call.series.failed(self._monotonic() - started, error_type)
        decisive = decisive_error(error)
        if isinstance(decisive, (Reject, InvalidEventError)):
            self._breaker.succeeded()  # the event is at fault, not the handler
        elif not isinstance(decisive, RetryLater):
            self._breaker.failed()
        delay = self._retrier.next_delay(call.policy, n, error)
        if delay is not None and delay <= IN_PROCESS_DELAY:
            _log.info(
                "handler %s failed on event %s, attempt %d, retrying in %.2f s: %s: %s",
                *(name, one_line(work.event.id), n + 1, delay),
                *(error_type, one_line(error)),
            )
            group.start_soon(self._again, work, call, n + 1, delay, group)
            return
        work.attempts = max(work.attempts, n + 1)
        work.open_calls -= 1
        if delay is not None:
            work.again.append((name, delay))
            return
        work.dead.append((name, error))
        _log.error(
            "handler %s gave up on event %s after %d attempts: %s: %s",
            name,
            one_line(work.event.id),
            n + 1,
            error_type,
            one_line(error),
            exc_info=None if isinstance(decisive, Reject) else error,
            extra={"handler": name, "event_id": work.event.id, "attempts": n + 1},
        )

    async def _again(
        self, work: Work, call: Call, n: int, delay: float, group: TaskGroup
    ) -> None:
        await self._clock.sleep(delay)
        if self._breaker.is_open:
            await self._breaker.admit()
        self._todo.append((work, call, n))
        self.wake(group)


def _forget_cancellation() -> None:
    """Undo the cancellation by a handler of its own task (Python 3.11)."""
    task: Any = asyncio.current_task()
    if hasattr(task, "uncancel"):
        task.uncancel()
