"""evmon."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from benchmarks.workload import (
    BATCH,
    TYPE,
    RateCounter,
    p50_and_p99,
    payload,
    payloads,
)
from evmon import ConsumerConfig, Event, EventBus, RedisConfig
from evmon._events import encode, new_id, now
from evmon._transports.redis.entries import EVENT
from evmon._transports.redis.keys import Keys

SERVICE = "bench"
STREAM = Keys(SERVICE).stream()


@asynccontextmanager
async def running_bus(
    url: str, handler: Any = None, **settings: Any
) -> AsyncIterator[Any]:
    """Run a bus.

    Args:
        url: URL of the transport.
        handler: handler of all events; None to publish only.
        settings: further arguments of `EventBus`.
    """
    consumer = ConsumerConfig(drain_timeout=0.5)
    bus = EventBus(SERVICE, url, consumer=consumer, **settings)
    if handler is not None:
        bus.add_handler(TYPE, handler)
    async with bus:
        yield bus


def encoded_event(data: Any) -> bytes:
    """An encoded event with this data."""
    event = Event(id=new_id(), source=SERVICE, type=TYPE, time=now(), data=data)
    return encode(event)


async def fill(url: str, count: int, streams: Sequence[str] = (STREAM,)) -> None:
    """Append events for consumers, to each stream in turn."""
    client = Redis.from_url(url)
    for start in range(0, count, BATCH):
        stream = streams[start // BATCH % len(streams)]
        pipe = client.pipeline(transaction=False)
        for number in range(start, min(start + BATCH, count)):
            pipe.xadd(stream, {EVENT: encoded_event(payload(number))})
        await pipe.execute()
    await client.aclose()


async def consume(
    url: str, count: int, streams: int = 1, *, batch_handler: bool = False
) -> float:
    """Handle all events of full streams; returns events per second."""
    names = tuple(f"s{number}" for number in range(1, streams))
    await fill(url, count, [STREAM, *(Keys(SERVICE).stream(name) for name in names)])
    counter = RateCounter(count)

    async def handle(event: Event[Any]) -> None:  # noqa: ARG001
        counter.add()

    async def handle_batch(events: list[Event[Any]]) -> None:
        for _ in events:
            counter.add()

    stream_for = (lambda _: "") if names else None
    redis = RedisConfig(streams=names, stream_for=stream_for)
    async with running_bus(url, handle_batch if batch_handler else handle, redis=redis):
        await counter.done.wait()
        return counter.rate


async def publish_and_consume(url: str, count: int) -> float:  # noqa: ARG001
    """Publish and handle events on ``memory://``; returns events per second."""
    counter = RateCounter(count)

    async def handle(event: Event[Any]) -> None:  # noqa: ARG001
        counter.add()

    async with running_bus("memory://", handle) as bus:
        for start in range(0, count, BATCH):
            await publish_batch(bus, start, min(start + BATCH, count))
        await counter.done.wait()
        return counter.rate


async def publish_batch(bus: Any, start: int, end: int) -> None:
    """Publish events on ``memory://`` and wait until all have been read."""
    await bus.publish_many((TYPE, payload(number)) for number in range(start, end))
    while bus._runtime.transport.backlog:
        await asyncio.sleep(0)


async def publish_many(url: str, count: int) -> float:
    """Publish in batches; returns events per second."""
    counter = RateCounter(count)
    async with running_bus(url) as bus:
        for start in range(0, count, BATCH):
            numbers = range(start, start + BATCH)
            await bus.publish_many((TYPE, payload(number)) for number in numbers)
            for _ in range(BATCH):
                counter.add()
        return counter.rate


async def publish_concurrently(url: str, count: int, tasks: int = 100) -> float:
    """Publish from several tasks, each awaiting its events; returns events per second."""
    counter = RateCounter(count)
    async with running_bus(url) as bus:

        async def publisher() -> None:
            for data in payloads(count // tasks):
                await bus.publish(TYPE, data)
                counter.add()

        await asyncio.gather(*(publisher() for _ in range(tasks)))
        return counter.rate


async def latency(url: str, count: int) -> list[float]:
    """Seconds from sending to handling an event: p50 and p99."""
    latencies: list[float] = []
    done = asyncio.Event()

    async def handle(event: Event[Any]) -> None:
        latencies.append(time.time() - event.data["at"])
        if len(latencies) >= count:
            done.set()

    async with running_bus(url, handle):
        await asyncio.wait_for(done.wait(), 120)
    return p50_and_p99(latencies)
