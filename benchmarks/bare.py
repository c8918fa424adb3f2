"""What somebody would write without a framework: redis-py, and nothing around it."""

import time
from typing import Any

import msgspec
from redis.asyncio import Redis

from benchmarks.events import GROUP, STREAM, TYPE, Meter, p50_and_p99, payload, payloads

BATCH = 1000


async def publish(url: str, count: int, batch: int = BATCH) -> float:
    """Encode and append with pipelines; returns events a second."""
    meter = Meter(count)
    client = Redis.from_url(url)
    await client.ping()
    for start in range(0, count, batch):
        pipe = client.pipeline(transaction=False)
        for number in range(start, start + batch):
            pipe.xadd(STREAM, {b"event": _encoded(number)})
        await pipe.execute()
        for _ in range(batch):
            meter.seen()
    await client.aclose()
    return meter.rate


async def publish_singly(url: str, count: int) -> float:
    """Encode and append one event after the other; returns events a second."""
    meter = Meter(count)
    client = Redis.from_url(url)
    await client.ping()
    for number in range(count):
        await client.xadd(STREAM, {b"event": _encoded(number)})
        meter.seen()
    await client.aclose()
    return meter.rate


async def fill(url: str, count: int) -> None:
    """Append events for consumers."""
    client = Redis.from_url(url)
    for start in range(0, count, BATCH):
        pipe = client.pipeline(transaction=False)
        for number, data in enumerate(payloads(min(BATCH, count - start)), start):
            pipe.xadd(STREAM, {b"event": _encoded(number, data)})
        await pipe.execute()
    await client.xgroup_create(STREAM, GROUP, id="0")
    await client.aclose()


async def consume(url: str, count: int, *, many: bool = False) -> float:
    """Read, decode, handle one by one or at once, acknowledge; returns events a second."""
    await fill(url, count)
    meter = Meter(count)
    decode = msgspec.json.Decoder().decode
    client = Redis.from_url(url)

    async def handle(event: Any) -> None:  # noqa: ARG001
        meter.seen()

    async def handle_many(events: list[Any]) -> None:
        for _ in events:
            meter.seen()

    while not meter.done.is_set():
        answer = await client.xreadgroup(
            GROUP, "c", {STREAM: ">"}, count=100, block=1000
        )
        for _, entries in answer:
            if many:
                await handle_many([decode(fields[b"event"]) for _, fields in entries])
            else:
                for _, fields in entries:
                    await handle(decode(fields[b"event"]))
            pipe = client.pipeline(transaction=False)
            pipe.xack(STREAM, GROUP, *(entry_id for entry_id, _ in entries))
            await pipe.execute()
    await client.aclose()
    return meter.rate


def _encoded(number: int, data: dict[str, Any] | None = None) -> bytes:
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": f"bare-{number:x}",
            "source": "bench",
            "type": TYPE,
            "time": "2030-01-01T00:00:00.000000Z",
            "data": data or payload(number),
        }
    )


async def latency(url: str, count: int) -> list[float]:
    """How long after it was sent an event reaches its handler: p50 and p99, in seconds."""
    waited: list[float] = []
    decode = msgspec.json.Decoder().decode
    client = Redis.from_url(url)
    await client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    while len(waited) < count:
        answer = await client.xreadgroup(
            GROUP, "c", {STREAM: ">"}, count=100, block=1000
        )
        for _, entries in answer:
            for _, fields in entries:
                waited.append(time.time() - decode(fields[b"event"])["at"])
            await client.xack(STREAM, GROUP, *(entry_id for entry_id, _ in entries))
    await client.aclose()
    return p50_and_p99(waited)
