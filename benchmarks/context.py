"""A clean context for each call of a handler: what the ways to have one cost."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from time import perf_counter

from benchmarks.figures import Figure, Settings, alternate
from benchmarks.redis_server import PrivateRedis
from evmon._consumer.clean_context import in_context

CALLS = 50_000


async def handle() -> None:
    """A handler that awaits once."""
    await asyncio.sleep(0)


def seconds_per_call(call: Callable[[], Awaitable[None]]) -> float:
    """Seconds that a call takes, one after the other."""

    async def run() -> float:
        started = perf_counter()
        for _ in range(CALLS):
            await call()
        return (perf_counter() - started) / CALLS

    return asyncio.run(run())


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Compare a shared context, a copy for each call, and a task for each call."""
    ways: dict[str, Callable[[], Awaitable[None]]] = {
        "shared context": handle,
        "copied context": lambda: in_context(copy_context(), handle),
        "task": lambda: asyncio.create_task(handle()),
    }
    results = alternate(
        "context",
        {name: lambda call=call: seconds_per_call(call) for name, call in ways.items()},
        settings,
    )
    return [
        results.ratio("copied context", "shared context", at_least=False),
        results.ratio("task", "shared context", at_least=False),
    ]
