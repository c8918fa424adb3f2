"""A clean context for each call of a handler: what the ways to have one cost."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from functools import partial
from time import process_time
from typing import Any

from benchmarks.figures import Figure, Settings, alternate
from benchmarks.redis_server import PrivateRedis
from evmon._consumer.clean_context import call_in_context

CALLS = 50_000
Handler = Callable[[], Coroutine[Any, Any, None]]


async def waits() -> None:
    """A handler that awaits once."""
    await asyncio.sleep(0)


async def returns() -> None:
    """A handler that never waits."""


async def in_copied_context(handler: Handler) -> None:
    """Call a handler as the consumer does."""
    rest = call_in_context(copy_context(), handler, ())
    if rest is not None:
        await rest


async def in_shared_context(handler: Handler) -> None:
    """Call a handler in the context of the worker."""
    await handler()


async def in_task(handler: Handler) -> None:
    """Call a handler in a task of its own."""
    await asyncio.create_task(handler())


def seconds_per_call(call: Callable[[], Awaitable[None]]) -> float:
    """Processor time of a call in seconds, one after the other."""

    async def run() -> float:
        started = process_time()
        for _ in range(CALLS):
            await call()
        return (process_time() - started) / CALLS

    return asyncio.run(run())


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Compare a shared context, a copy for each call, and a task for each call."""
    return [
        figure
        for handler in (returns, waits)
        for figure in _figures_of(handler, settings)
    ]


def _figures_of(handler: Handler, settings: Settings) -> list[Figure]:
    ways = (in_shared_context, in_copied_context, in_task)
    shared, copied, task = (f"{way.__name__}, {handler.__name__}" for way in ways)
    calls = [partial(seconds_per_call, partial(way, handler)) for way in ways]
    contenders = dict(zip((shared, copied, task), calls, strict=True))
    results = alternate("context", contenders, settings)
    return [
        results.ratio(copied, shared, at_least=False),
        results.ratio(task, shared, at_least=False),
    ]
