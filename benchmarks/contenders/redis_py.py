"""A bare loop with redis-py and msgspec, without retries, leases or metrics."""

import time
from typing import Any

import msgspec
from redis.asyncio import Redis

from benchmarks.workload import (
    BATCH,
    GROUP,
    STREAM,
    TYPE,
    RateCounter,
    p50_and_p99,
    payload,
)


async def publish(url: str, count: int) -> float:
    """Append events in pipelines; returns events per second."""
    counter = RateCounter(count)
    client = Redis.from_url(url)
    await client.ping()
    for start in range(0, count, BATCH):
        pipe = client.pipeline(transaction=False)
        for number in range(start, start + BATCH):
            pipe.xadd(STREAM, {b"event": _encoded(number)})
        await pipe.execute()
        for _ in range(BATCH):
            counter.add()
    await client.aclose()
    return counter.rate


async def publish_singly(url: str, count: int) -> float:
    """Append one event after the other; returns events per second."""
    counter = RateCounter(count)
    client = Redis.from_url(url)
    await client.ping()
    for number in range(count):
        await client.xadd(STREAM, {b"event": _encoded(number)})
        counter.add()
    await client.aclose()
    return counter.rate


async def fill(url: str, count: int) -> None:
    """Append events and create the consumer group."""
    client = Redis.from_url(url)
    for start in range(0, count, BATCH):
        pipe = client.pipeline(transaction=False)
        for number in range(start, min(start + BATCH, count)):
            pipe.xadd(STREAM, {b"event": _encoded(number)})
        await pipe.execute()
    await client.xgroup_create(STREAM, GROUP, id="0")
    await client.aclose()


async def consume(url: str, count: int, *, batch_handler: bool = False) -> float:
    """Read, decode, handle, acknowledge; returns events per second."""
    await fill(url, count)
    counter = RateCounter(count)
    decode = msgspec.json.Decoder().decode
    client = Redis.from_url(url)

    async def handle(event: Any) -> None:  # noqa: ARG001
        counter.add()

    async def handle_batch(events: list[Any]) -> None:
        for _ in events:
            counter.add()

    while not counter.done.is_set():
        answer = await client.xreadgroup(
            GROUP, "c", {STREAM: ">"}, count=100, block=1000
        )
        for _, entries in answer:
            if batch_handler:
                await handle_batch([decode(fields[b"event"]) for _, fields in entries])
            else:
                for _, fields in entries:
                    await handle(decode(fields[b"event"]))
            pipe = client.pipeline(transaction=False)
            pipe.xack(STREAM, GROUP, *(entry_id for entry_id, _ in entries))
            await pipe.execute()
    await client.aclose()
    return counter.rate


def _encoded(number: int) -> bytes:
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": f"bare-{number:x}",
            "source": "bench",
            "type": TYPE,
            "time": "2030-01-01T00:00:00.000000Z",
            "data": payload(number),
        }
    )


async def latency(url: str, count: int) -> list[float]:
    """Seconds from sending to handling an event: p50 and p99."""
    latencies: list[float] = []
    decode = msgspec.json.Decoder().decode
    client = Redis.from_url(url)
    await client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    while len(latencies) < count:
        answer = await client.xreadgroup(
            GROUP, "c", {STREAM: ">"}, count=100, block=1000
        )
        for _, entries in answer:
            for _, fields in entries:
                latencies.append(time.time() - decode(fields[b"event"])["at"])
            await client.xack(STREAM, GROUP, *(entry_id for entry_id, _ in entries))
    await client.aclose()
    return p50_and_p99(latencies)
