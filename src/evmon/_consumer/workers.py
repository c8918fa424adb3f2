"""The workers: tasks that call handlers and retry those that fail."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from anyio.abc import TaskGroup

from evmon._clock import Clock
from evmon._consumer.breaker import Breaker
from evmon._consumer.cancellation import (
    absorb_cancellation,
    forget_cancellation,
    has_pending_cancellation,
)
from evmon._consumer.in_flight import InFlight
from evmon._consumer.invoker import Called, Invoker, subject_of
from evmon._consumer.tasks import Tasks
from evmon._consumer.work import Call, Work
from evmon._failpoints import ON, reach
from evmon._history import History
from evmon._log_fields import about, about_many
from evmon._retry import Retrier
from evmon._settings.configs import ConsumerConfig
from evmon._telemetry.labels import ErrorTypes
from evmon._text import one_line
from evmon._transports.base import Received
from evmon.errors import InvalidEventError, Reject, RetryLater, decisive_error

IN_PROCESS_DELAY: Final = 1.0
"""Longest retry delay in seconds kept in the process, not on the transport."""

_GOES_ON: Final = "goes on after its cancellation (let CancelledError pass)"
_IN_THREAD: Final = "still runs in a thread, which cannot be cancelled"

_log = logging.getLogger("evmon.consumer")


class Workers:
    """Long-lived tasks that share a queue of calls; there is no task for each event.

    Args:
        config: concurrency and handler timeout.
        in_flight: entries in flight; those removed from it are no longer handled.
        retrier: retrier that applies the policies of handlers.
        breaker: circuit breaker that is told the outcome of each call.
        error_types: labels of errors.
        clock: source of time.
        history: history of a test, to which the calls are added.
    """

    def __init__(
        self,
        config: ConsumerConfig,
        in_flight: InFlight,
        *,
        retrier: Retrier,
        breaker: Breaker,
        error_types: ErrorTypes,
        clock: Clock,
        history: History | None = None,
    ) -> None:
        self._limit = config.max_concurrency
        self._in_flight = in_flight
        self._retrier = retrier
        self._breaker = breaker
        self._error_types = error_types
        self._clock = clock
        self._history = history
        self._monotonic = clock.monotonic
        self._invoker = Invoker(config.handler_timeout, config.max_concurrency, clock)
        self._queue: deque[tuple[Work | Sequence[Work], Call, int]] = deque()
        self._running: dict[asyncio.Task[Any], Called] = {}
        self._tasks = Tasks()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._started = 0
        self._waking = False
        self._shutting_down = False

    @property
    def busy(self) -> bool:
        """Whether a handler is running or about to be called."""
        idle = sum(not waiting.done() for waiting in self._idle)
        return bool(self._queue) or self._started > idle

    def add(self, works: Sequence[Work], group: TaskGroup) -> None:
        """Queue the calls for events that were just read.

        A redelivered event is handled alone, because it may have failed its batch.
        """
        batches: dict[Call, list[Work]] = {}
        for work in works:
            for call in work.calls:
                if call.takes_many and not work.received.redelivered:
                    batches.setdefault(call, []).append(work)
                else:
                    self._queue.append((work, call, work.received.attempts))
        for call, batch in batches.items():
            self._queue.append((batch if len(batch) > 1 else batch[0], call, 0))
        self._wake(group)

    def cancel(self, received: Received) -> None:
        """Cancel the running handlers of an entry."""
        for task, (_, work, _) in self._running.items():
            if isinstance(work, Work) and work.received is received:
                task.cancel()

    @property
    def unfinished(self) -> list[str]:
        """Names of the handlers that run, those left behind included; thread-safe."""
        called = [*list(self._running.values()), *self._invoker.in_threads]
        return list(dict.fromkeys(handler.key for handler, _, _ in called))

    async def raise_failure(self) -> None:
        """Wait for a worker to fail, and raise its error."""
        await self._tasks.raise_failure()

    async def shut_down(self) -> None:
        """Cancel the running handlers; those that go on are logged and left behind."""
        self._shutting_down = True
        self._invoker.shut_down()
        await self._tasks.end()
        left = [(called, _GOES_ON) for called in self._running.values()]
        left += [(called, _IN_THREAD) for called in self._invoker.in_threads]
        for called, why in left:
            subject = subject_of(*called)
            _log.error(
                "handler %s %s: it is left behind, and %s is released",
                *(called[0].key, why, subject),
                extra=subject.fields,
            )

    def _wake(self, group: TaskGroup) -> None:
        """Wake or start one worker; it wakes the next one if calls are left.

        Only one is being woken at a time, so handlers that never wait share a worker.
        """
        if not self._queue or self._waking or self._shutting_down:
            return
        while self._idle:
            waiting = self._idle.popleft()
            if not waiting.done():
                waiting.set_result(None)
                self._waking = True
                return
        if self._started < self._limit:
            self._started += 1
            self._waking = True
            self._tasks.start(self._work(group))

    async def _work(self, group: TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        while not self._shutting_down:
            self._waking = False
            await self._handle_queued(group, task)
            self._in_flight.update_gauge()
            waiting = loop.create_future()
            self._idle.append(waiting)
            try:
                await waiting
            except asyncio.CancelledError:
                if self._shutting_down:
                    raise
                forget_cancellation(task)
                _log.warning("something cancelled an idle worker: it goes on")

    async def _handle_queued(self, group: TaskGroup, task: "asyncio.Task[Any]") -> None:
        # Not in `_work`: an idle worker would keep the handler that it called last.
        while self._queue and not self._shutting_down:
            work, call, attempt = self._queue.popleft()
            if self._queue:
                self._wake(group)
            if isinstance(work, Work):
                await self._handle(work, call, attempt, group, task)
            else:
                await self._handle_many(work, call, group, task)

    async def _handle(
        self,
        work: Work,
        call: Call,
        attempt: int,
        group: TaskGroup,
        task: "asyncio.Task[Any]",
    ) -> None:
        """Call a handler once (`attempt` counts from 0) and record the outcome."""
        if work.received not in self._in_flight:
            return
        started = self._monotonic()
        failure = rest = None
        self._running[task] = call.handler, work, attempt
        try:
            rest = self._invoker.call(call.handler, work, attempt)
            if rest is not None:
                await rest
        except BaseException as error:  # noqa: BLE001 - handlers are user code
            failure = self._failure_of(error)
        finally:
            del self._running[task]
        if has_pending_cancellation(task) and not self._shutting_down:
            await absorb_cancellation(task)
        if ON:
            reach("after_handler")
        # Only while a handler waits can its event be reclaimed.
        if rest is not None and work.received not in self._in_flight:
            return
        took = self._monotonic() - started
        if failure is None:
            call.series.succeeded(took)
            self._breaker.succeeded()
            if self._history is not None:
                self._history.add_handled(work.event, call.handler.key, attempt + 1)
        else:
            self._record_failure(call, failure, took)
            if self._retry(work, call, attempt, failure, group):
                return
        work.calls_left -= 1
        if not work.calls_left:
            self._finish(work, group)

    def _finish(self, work: Work, group: TaskGroup) -> None:
        """Acknowledge or settle an event whose handlers are all done.

        Settling waits for the transport, in a task that no handler knows and cancels.
        """
        if work.succeeded:
            self._in_flight.acknowledge(work.received)
        else:
            settlement = work.settlement(self._monotonic())
            group.start_soon(self._in_flight.settle, settlement)

    async def _handle_many(
        self,
        works: Sequence[Work],
        call: Call,
        group: TaskGroup,
        task: "asyncio.Task[Any]",
    ) -> None:
        """Call a handler once with many events; if it fails, queue each one alone."""
        works = self._still_in_flight(works)
        if not works:
            return
        started = self._monotonic()
        failure = None
        self._running[task] = call.handler, works, 0
        try:
            rest = self._invoker.call_many(call.handler, works)
            if rest is not None:
                await rest
        except BaseException as error:  # noqa: BLE001 - handlers are user code
            failure = self._failure_of(error)
        finally:
            del self._running[task]
        if has_pending_cancellation(task) and not self._shutting_down:
            await absorb_cancellation(task)
        if ON:
            reach("after_handler")
        took = self._monotonic() - started
        if failure is None:
            call.series.succeeded(took)
            self._breaker.succeeded()
            for work in self._still_in_flight(works):
                if self._history is not None:
                    self._history.add_handled(work.event, call.handler.key, 1)
                work.calls_left -= 1
                if not work.calls_left:
                    self._finish(work, group)
            return
        call.series.raised(took, failure)
        name, received = call.handler.key, [work.received for work in works]
        subject = about_many(len(works), received, handler=name, attempt=1)
        _log.warning(
            "handler %s failed on a batch of %s, retrying each alone: %s: %s",
            *(name, subject, self._error_types.of(failure), one_line(failure)),
            extra=subject.fields,
        )
        for work in works:
            if self._history is not None:
                self._history.add_handled(
                    work.event, call.handler.key, 1, error=failure, delay=0.0
                )
            self._queue.append((work, call, 0))
        self._wake(group)

    def _still_in_flight(self, works: Sequence[Work]) -> list[Work]:
        return [work for work in works if work.received in self._in_flight]

    def _failure_of(self, error: BaseException) -> Exception:
        """The failure of a handler; re-raises what was meant for the worker."""
        if isinstance(error, Exception):
            return error
        if isinstance(error, asyncio.CancelledError):
            if self._shutting_down:
                raise error
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - for the type checker
            forget_cancellation(task)
            failure = RuntimeError("the handler cancelled its own task")
        elif isinstance(error, (KeyboardInterrupt, GeneratorExit)):
            raise error
        else:  # such as SystemExit: fails the handler, does not end the service
            failure = RuntimeError(f"the handler raised {error!r:.200}")
        failure.__cause__ = error
        return failure

    def _record_failure(self, call: Call, error: Exception, took: float) -> None:
        call.series.raised(took, error)
        decisive = decisive_error(error)
        if isinstance(decisive, (Reject, InvalidEventError)):
            self._breaker.succeeded()  # the event is at fault, not the handler
        elif not isinstance(decisive, RetryLater):
            self._breaker.failed()

    def _retry(
        self, work: Work, call: Call, attempt: int, error: Exception, group: TaskGroup
    ) -> bool:
        """Decide how a failed call is retried, if at all.

        Returns:
            Whether it is retried in this process, so that the call is not done.
        """
        delay = self._retrier.next_delay(call.policy, attempt, error)
        name = call.handler.key
        if self._history is not None:
            self._history.add_handled(
                work.event, name, attempt + 1, error=error, delay=delay
            )
        if delay is None:
            work.give_up(name, attempt + 1, error)
            self._log_given_up(name, work, attempt + 1, error)
        elif delay > IN_PROCESS_DELAY:
            self._log_retry(name, work, attempt + 1, delay, error)
            work.retry(name, attempt + 1, self._monotonic() + delay)
            if work.calls_left > 1:
                start = self._retry_unless_settled
                group.start_soon(start, work, call, attempt + 1, delay, group)
        else:
            self._log_retry(name, work, attempt + 1, delay, error)
            group.start_soon(self._queue_later, work, call, attempt + 1, delay, group)
            return True
        return False

    def _log_retry(
        self, name: str, work: Work, attempt: int, delay: float, error: Exception
    ) -> None:
        if not _log.isEnabledFor(logging.INFO):
            return
        subject = about(work.received, handler=name, attempt=attempt)
        _log.info(
            "handler %s failed on %s, attempt %d, retrying in %.2f s: %s: %s",
            *(name, subject, attempt, delay),
            *(self._error_types.of(error), one_line(error)),
            extra=subject.fields,
        )

    def _log_given_up(
        self, name: str, work: Work, attempt: int, error: Exception
    ) -> None:
        subject = about(work.received, handler=name, attempt=attempt)
        if isinstance(decisive := decisive_error(error), Reject):
            _log.info(
                "handler %s rejected %s: %s",
                *(name, subject, one_line(decisive)),
                extra=subject.fields,
            )
            return
        # A tuple, because `logging` asks whether an exception is true.
        details = (type(error), error, error.__traceback__)
        _log.error(
            "handler %s gave up on %s, attempt %d: %s: %s",
            *(name, subject, attempt),
            *(self._error_types.of(error), one_line(error)),
            exc_info=details,
            extra=subject.fields,
        )

    async def _retry_unless_settled(
        self, work: Work, call: Call, attempt: int, delay: float, group: TaskGroup
    ) -> None:
        """Retry a handler in time while other handlers of its event are still called."""
        await self._clock.sleep(delay)
        if work.calls_left:
            work.calls_left += 1
            work.take_retry(call.handler.key)
            await self._queue_later(work, call, attempt, 0.0, group)

    async def _queue_later(
        self, work: Work, call: Call, attempt: int, delay: float, group: TaskGroup
    ) -> None:
        await self._clock.sleep(delay)
        if self._breaker.is_open:
            await self._breaker.wait_to_retry()
        self._queue.append((work, call, attempt))
        self._wake(group)
