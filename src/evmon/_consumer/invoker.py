"""The invoker: calls a handler within its timeout, in a thread if it blocks."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import anyio

from evmon._consumer.work import Work
from evmon._events import FIRST_DELIVERY, Delivery
from evmon._handlers.handlers import Handler

_log = logging.getLogger("evmon.consumer")


class Invoker:
    """Calls handlers.

    Args:
        timeout: maximum seconds of a call; None does not limit it.
        max_threads: maximum number of plain functions that run at the same time.
    """

    def __init__(self, timeout: float | None, max_threads: int) -> None:
        self._timeout = timeout
        self._limiter = anyio.CapacityLimiter(max_threads)

    def call(self, handler: Handler, work: Work, attempt: int) -> Awaitable[Any]:
        """Call a handler with one event.

        Args:
            handler: the handler.
            work: the event.
            attempt: number of the attempt, from 0.

        Raises:
            TimeoutError: the handler did not end within its timeout.
            BaseException: any error that the handler raises.
        """
        redelivered = work.received.deliveries > 1
        if attempt or redelivered:
            delivery = Delivery(attempt + 1, redelivered)
        else:
            delivery = FIRST_DELIVERY
        if handler.is_async and self._timeout is None:
            return handler.call(work.event, delivery)  # type: ignore[no-any-return]
        return self._limited(handler, partial(handler.call, work.event, delivery))

    def call_many(self, handler: Handler, works: Sequence[Work]) -> Awaitable[Any]:
        """Call a handler once with many events; raises the same as `call`."""
        assert handler.call_many is not None  # noqa: S101 - for the type checker
        events = [work.event for work in works]
        return self._limited(handler, partial(handler.call_many, events))

    async def _limited(self, handler: Handler, call: Callable[[], Any]) -> None:
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
        timer = None
        if self._timeout is not None:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(self._timeout, self._log_late, handler)
        try:
            return await anyio.to_thread.run_sync(
                call, abandon_on_cancel=True, limiter=self._limiter
            )
        finally:
            if timer is not None:
                timer.cancel()

    def _log_late(self, handler: Handler) -> None:
        _log.warning(
            "handler %s has been running in a thread for more than %g s"
            " (handler_timeout): a thread cannot be cancelled; make it a coroutine function",
            handler.key,
            self._timeout,
        )
