"""Memory growth over many events, and memory per handler and per event in flight."""

import asyncio
import tracemalloc
from typing import Any

from benchmarks.contenders.evmon import SERVICE, publish_batch, running_bus
from benchmarks.figures import Figure, Settings
from benchmarks.job import run_job
from benchmarks.redis_server import PrivateRedis
from benchmarks.workload import BATCH, TYPE, payload
from evmon import ConsumerConfig, Event, EventBus
from evmon._handlers.handlers import handler_of
from evmon._handlers.registry import Registry

HANDLERS = 10_000
EARLY = 10_000
IN_FLIGHT = 1000


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Measure each once, in a process of its own."""
    late = settings.count(1_000_000)
    return [
        Figure(
            "memory",
            f"RSS growth from {EARLY:,} to {late:,} events",
            run_job("memory:rss_growth", early=EARLY, late=late),
            bar=5,
            reach=0,
            at_least=False,
            unit="MB",
        ),
        Figure("memory", "size of a handler", run_job("memory:handler_size"), unit="B"),
        Figure(
            "memory",
            "size of an event in flight",
            run_job("memory:in_flight_size", count=IN_FLIGHT),
            unit="B",
        ),
    ]


async def rss_growth(early: int, late: int) -> float:
    """Megabytes by which resident memory grows between two numbers of events."""
    import psutil

    process = psutil.Process()

    async def handle(event: Event[Any]) -> None: ...

    sizes = []
    async with running_bus("memory://", handle) as bus:
        sent = 0
        for limit in (early, late):
            while sent < limit:
                await publish_batch(bus, sent, sent + BATCH)
                sent += BATCH
            await asyncio.sleep(0.2)
            sizes.append(process.memory_info().rss)
    return (sizes[1] - sizes[0]) / 1e6


def handler_size() -> float:
    """Bytes that the registry uses for a handler with a pattern of its own."""

    async def handle(event: object) -> None: ...

    registry = Registry()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(HANDLERS):
        registry.add([handler_of(handle, f"order.created.n{number}", None)])
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / HANDLERS


async def in_flight_size(count: int) -> float:
    """Bytes that the consumer uses for an event whose handler is running."""
    all_running, finish = asyncio.Event(), asyncio.Event()
    running = 0

    async def handle(event: Event[Any]) -> None:  # noqa: ARG001
        nonlocal running
        running += 1
        if running == count:
            all_running.set()
        await finish.wait()

    consumer = ConsumerConfig(max_concurrency=count, batch_size=count)
    bus = EventBus(SERVICE, "memory://", consumer=consumer)
    bus.add_handler(TYPE, handle)
    async with bus:
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        await bus.publish_many((TYPE, payload(number)) for number in range(count))
        await all_running.wait()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        finish.set()
    return (after - before) / count
