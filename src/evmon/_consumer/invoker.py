"""The invoker: calls a handler within its timeout, in a thread if it blocks."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Final, TypeAlias

from evmon._clock import Clock, Timer
from evmon._consumer.cancellation import forget_cancellation
from evmon._consumer.clean_context import call_in_context
from evmon._consumer.work import Work
from evmon._events import FIRST_DELIVERY, Delivery
from evmon._handlers.handlers import Handler
from evmon._log_fields import Subject, about, about_many
from evmon._threads import Threads

_log = logging.getLogger("evmon.consumer")

Called: TypeAlias = tuple[Handler, Work | Sequence[Work], int]
"""A handler, the event or events that it is called with, and the attempt, from 0."""

STILL_RUNNING: Final = 1.0
"""Seconds after the timeout at which a coroutine that goes on is named in the log."""


class Invoker:
    """Calls handlers, each in a copy of the context in which the invoker was made.

    Args:
        timeout: maximum seconds of a call; None does not limit it.
        max_threads: maximum number of plain functions that run at the same time.
        clock: source of time.
    """

    def __init__(self, timeout: float | None, max_threads: int, clock: Clock) -> None:
        self._timeout = timeout
        self._clock = clock
        self._context = copy_context()
        self._threads: Threads[Called] = Threads(max_threads)
        self._shutting_down = False

    @property
    def in_threads(self) -> list[Called]:
        """The calls whose threads have not returned; thread-safe."""
        return self._threads.running

    def shut_down(self) -> None:
        """From now on a cancellation is meant for the worker, not its handler."""
        self._shutting_down = True

    def call(self, handler: Handler, work: Work, attempt: int) -> Awaitable[Any] | None:
        """Call a handler with one event, until it waits.

        Args:
            handler: the handler.
            work: the event.
            attempt: number of the attempt, from 0.

        Returns:
            The rest of the call, to be awaited at once; None if it never waited.

        Raises:
            TimeoutError: the handler did not end within its timeout.
            BaseException: any error that the handler raises.
        """
        redelivered = work.received.deliveries > 1
        if attempt or redelivered:
            delivery = Delivery(attempt + 1, redelivered)
        else:
            delivery = FIRST_DELIVERY
        called = (handler, work, attempt)
        return self._invoke(called, handler.call, (work.event, delivery))

    def call_many(
        self, handler: Handler, works: Sequence[Work]
    ) -> Awaitable[Any] | None:
        """Call a handler once with many events; returns and raises as `call` does."""
        assert handler.call_many is not None  # noqa: S101 - for the type checker
        events = [work.event for work in works]
        return self._invoke((handler, works, 0), handler.call_many, (events,))

    def _invoke(
        self, called: Called, call: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Awaitable[Any] | None:
        context = self._context.copy()
        if not called[0].is_async:
            return self._invoke_plain(called, context, partial(call, *arguments))
        rest = call_in_context(context, call, arguments)
        if rest is None or self._timeout is None:
            return rest
        return self._limited(called, rest)

    async def _invoke_plain(
        self, called: Called, context: Context, call: Callable[[], Any]
    ) -> None:
        result = await self._in_thread(called, partial(context.run, call))
        # Asked of the type, because a returned proxy may do anything when it is asked.
        if hasattr(type(result), "__await__"):
            rest = call_in_context(context, lambda: result, ())
            if rest is not None:
                await self._limited(called, rest)

    async def _limited(self, called: Called, awaitable: Awaitable[Any]) -> None:
        """Await, cancelling once at the timeout.

        Not a cancel scope: it would cancel a handler that goes on again and again.
        """
        if self._timeout is None:
            await awaitable
            return
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        call_later = self._clock.call_later
        timers: list[Timer] = []

        def expire() -> None:
            report = partial(self._log_not_cancelled, called)
            timers.append(call_later(STILL_RUNNING, report))
            task.cancel()

        timers.append(call_later(self._timeout, expire))
        try:
            await awaitable
        except asyncio.CancelledError:
            if len(timers) == 1 or self._shutting_down:
                raise
            forget_cancellation(task)
            raise TimeoutError(
                f"not done within {self._timeout:g} s (handler_timeout)"
            ) from None
        finally:
            for timer in timers:
                timer.cancel()

    def _log_not_cancelled(self, called: Called) -> None:
        subject = subject_of(*called)
        _log.error(
            "handler %s goes on after its cancellation (handler_timeout, %g s) on %s:"
            " let CancelledError pass",
            *(called[0].key, self._timeout, subject),
            extra=subject.fields,
        )

    async def _in_thread(self, called: Called, call: Callable[[], Any]) -> Any:
        # A thread cannot be cancelled. Abandoning it would let it run concurrently with
        # the retry, and threads would pile up; so wait for it, and log that it is late.
        timer = None
        if self._timeout is not None:
            report = partial(self._log_late, called)
            timer = self._clock.call_later(self._timeout, report)
        try:
            return await self._threads.run(called, call)
        finally:
            if timer is not None:
                timer.cancel()

    def _log_late(self, called: Called) -> None:
        subject = subject_of(*called)
        _log.warning(
            "handler %s has been running in a thread for more than %g s"
            " (handler_timeout) on %s: a thread cannot be cancelled; make it a coroutine"
            " function",
            *(called[0].key, self._timeout, subject),
            extra=subject.fields,
        )


def subject_of(
    handler: Handler, called_with: Work | Sequence[Work], attempt: int
) -> Subject:
    """What a log record about a call is about."""
    if isinstance(called_with, Work):
        return about(called_with.received, handler=handler.key, attempt=attempt + 1)
    received = [work.received for work in called_with]
    return about_many(len(received), received, handler=handler.key, attempt=1)
