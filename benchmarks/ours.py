"""evmon's side of every comparison."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from benchmarks.events import TYPE, Meter, p50_and_p99, payload, payloads
from evmon import ConsumerConfig, Event, EventBus, MetricsConfig, RedisConfig
from evmon._events import encode, new_id, now
from evmon._transports.redis.entries import EVENT
from evmon._transports.redis.keys import Keys

SERVICE = "bench"
STREAM = Keys(SERVICE).stream()


@asynccontextmanager
async def running(url: str, handler: Any = None, **settings: Any) -> AsyncIterator[Any]:
    """A bus that runs, with one handler if there is one."""
    drain = ConsumerConfig(drain_timeout=0.5)
    bus = EventBus(SERVICE, url, consumer=drain, **settings)
    if handler is not None:
        bus.add_handler(TYPE, handler)
    async with bus:
        yield bus


def encoded(data: Any) -> bytes:
    """An event as it travels."""
    event = Event(id=new_id(), source=SERVICE, type=TYPE, time=now(), data=data)
    return encode(event)


async def fill(url: str, count: int, streams: Sequence[str] = (STREAM,)) -> None:
    """Append events for consumers, to one stream after the other."""
    client = Redis.from_url(url)
    for start in range(0, count, 1000):
        stream = streams[start // 1000 % len(streams)]
        pipe = client.pipeline(transaction=False)
        for number in range(start, min(start + 1000, count)):
            pipe.xadd(stream, {EVENT: encoded(payload(number))})
        await pipe.execute()
    await client.aclose()


async def consume(
    url: str, count: int, streams: int = 1, *, many: bool = False
) -> float:
    """Handle what is there, one by one or many at once; returns events a second."""
    names = tuple(f"s{number}" for number in range(1, streams))
    await fill(url, count, [STREAM, *(Keys(SERVICE).stream(name) for name in names)])
    meter = Meter(count)

    async def handle(event: Event[Any]) -> None:  # noqa: ARG001
        meter.seen()

    async def handle_many(events: list[Event[Any]]) -> None:
        for _ in events:
            meter.seen()

    rule = (lambda _: "") if names else None
    redis = RedisConfig(streams=names, stream_for=rule)
    async with running(url, handle_many if many else handle, redis=redis):
        await meter.done.wait()
        return meter.rate


async def through_memory(url: str, count: int) -> float:  # noqa: ARG001
    """Publish and handle in one process; returns events a second."""
    meter = Meter(count)

    async def handle(event: Event[Any]) -> None:  # noqa: ARG001
        meter.seen()

    async with running("memory://", handle) as bus:
        for start in range(0, count, 1000):
            numbers = range(start, min(start + 1000, count))
            await bus.publish_many((TYPE, payload(number)) for number in numbers)
            while bus._runtime.transport.backlog:
                await asyncio.sleep(0)
        await meter.done.wait()
        return meter.rate


async def in_flight_size(count: int) -> float:
    """Bytes that the consumer needs for an event that its handler holds up."""
    import tracemalloc

    reached, go_on = asyncio.Event(), asyncio.Event()
    running_now = 0

    async def handle(event: Event[Any]) -> None:  # noqa: ARG001
        nonlocal running_now
        running_now += 1
        if running_now == count:
            reached.set()
        await go_on.wait()

    consumer = ConsumerConfig(max_concurrency=count, batch_size=count)
    bus = EventBus(SERVICE, "memory://", consumer=consumer)
    bus.add_handler(TYPE, handle)
    async with bus:
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        await bus.publish_many((TYPE, payload(number)) for number in range(count))
        await reached.wait()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        go_on.set()
    return (after - before) / count


async def consume_share(url: str, work: int, idle: float = 0.5) -> dict[str, float]:
    """Handle what comes until nothing does: one consumer of several.

    Args:
        url: of the server.
        work: how much each event gives to do.
        idle: seconds without an event after which it is over.
    """
    seen, first, last = 0, 0.0, 0.0

    async def handle(event: Event[Any]) -> None:  # noqa: ARG001
        nonlocal seen, first, last
        first = first or time.monotonic()
        sum(range(work))
        seen += 1
        last = time.monotonic()

    client = Redis.from_url(url)
    await client.incr("ready")
    while not await client.exists("go"):
        await asyncio.sleep(0.005)
    await client.aclose()
    async with running(url, handle):
        began = time.monotonic()
        while time.monotonic() - max(last, began) < idle:
            await asyncio.sleep(0.05)
    return {"seen": seen, "first": first, "last": last}


async def publish_many(url: str, count: int, batch: int = 1000) -> float:
    """Publish in batches; returns events a second."""
    meter = Meter(count)
    async with running(url) as bus:
        for start in range(0, count, batch):
            numbers = range(start, start + batch)
            await bus.publish_many((TYPE, payload(number)) for number in numbers)
            for _ in range(batch):
                meter.seen()
        return meter.rate


async def publish_concurrently(url: str, count: int, tasks: int = 100) -> float:
    """Publish from many tasks at once, each awaiting its own events."""
    meter = Meter(count)
    async with running(url) as bus:

        async def publisher() -> None:
            for data in payloads(count // tasks):
                await bus.publish(TYPE, data)
                meter.seen()

        await asyncio.gather(*(publisher() for _ in range(tasks)))
        return meter.rate


async def latency(url: str, count: int) -> list[float]:
    """How long after it was sent an event reaches its handler: p50 and p99, in seconds."""
    waited: list[float] = []
    done = asyncio.Event()

    async def handle(event: Event[Any]) -> None:
        waited.append(time.time() - event.data["at"])
        if len(waited) >= count:
            done.set()

    async with running(url, handle):
        await asyncio.wait_for(done.wait(), 120)
    return p50_and_p99(waited)


async def idle(url: str, seconds: float) -> float:
    """Share of a processor that an idle service takes, in percent."""

    async def handle(event: Event[Any]) -> None: ...

    async with running(url, handle, metrics=MetricsConfig(port=0)):
        await asyncio.sleep(2)
        wall, cpu = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        return 100 * (time.process_time() - cpu) / (time.monotonic() - wall)


async def grow(early: int, late: int) -> float:
    """Megabytes by which the process grows between two numbers of events."""
    import psutil

    process = psutil.Process()
    meter = Meter(10**9)

    async def handle(event: Event[Any]) -> None:  # noqa: ARG001
        meter.seen()

    sizes = []
    async with running("memory://", handle) as bus:
        sent = 0
        for limit in (early, late):
            while sent < limit:
                numbers = range(sent, sent + 1000)
                await bus.publish_many((TYPE, payload(number)) for number in numbers)
                sent += 1000
                while bus._runtime.transport.backlog:
                    await asyncio.sleep(0)
            await asyncio.sleep(0.2)
            sizes.append(process.memory_info().rss)
    return (sizes[1] - sizes[0]) / 1e6
