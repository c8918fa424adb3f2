"""What stays in memory."""

import tracemalloc

from benchmarks.measure import Figure, Settings, job
from benchmarks.servers import PrivateRedis
from evmon._handlers.handlers import handler_of
from evmon._handlers.registry import Registry

HANDLERS = 10_000


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Growth over many events, and the size of a handler; looked at once."""
    late = settings.count(1_000_000)
    grown = job("ours:grow", early=10_000, late=late)
    return [
        Figure(
            "memory",
            f"RSS growth from 10,000 to {late:,} events",
            grown,
            bar=5,
            reach=0,
            at_least=False,
            unit="MB",
        ),
        Figure("memory", "size of a handler", job("memory:handler_size"), unit="B"),
        Figure(
            "memory",
            "size of an event in flight",
            job("ours:in_flight_size", count=1000),
            unit="B",
        ),
    ]


def handler_size() -> float:
    """Bytes that the registry needs for a handler with a pattern of its own."""

    async def handle(event: object) -> None: ...

    registry = Registry()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(HANDLERS):
        registry.add([handler_of(handle, f"order.created.n{number}", None)])
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / HANDLERS
