"""FastStream, with the middlewares that measure what evmon measures.

It is treated kindly: no log line for each message, no tracer, entries read by hundreds.
"""

import asyncio
import time
from typing import Any

from faststream.redis import RedisBroker, StreamSub
from faststream.redis.opentelemetry import RedisTelemetryMiddleware
from faststream.redis.prometheus import RedisPrometheusMiddleware
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from benchmarks.events import GROUP, STREAM, Meter, p50_and_p99, payload, payloads


def broker_of(url: str, *, plain: bool = False) -> RedisBroker:
    """A broker that measures, unless it is a plain one."""
    if plain:
        return RedisBroker(url, logger=None)
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(registry=registry)
    return RedisBroker(
        url,
        logger=None,
        middlewares=(
            RedisTelemetryMiddleware(meter_provider=MeterProvider([reader])),
            RedisPrometheusMiddleware(registry=registry),
        ),
    )


def subscription(*, many: bool = False) -> StreamSub:
    """All that is in the stream, by a group."""
    where: dict[str, Any] = {"group": GROUP, "consumer": "c", "last_id": "0"}
    return StreamSub(STREAM, **where, max_records=100, batch=many)


async def message(data: Any) -> dict[str, bytes]:
    """The fields of an entry, as its publisher writes them."""
    from faststream.redis.parser import BinaryMessageFormatV1

    raw = await BinaryMessageFormatV1.encode(
        message=data, reply_to=None, headers=None, correlation_id="c"
    )
    return {"__data__": raw}


async def fill(url: str, count: int) -> None:
    """Append events for consumers."""
    client = Redis.from_url(url)
    pipe = client.pipeline(transaction=False)
    for number in range(count):
        pipe.xadd(STREAM, await message(payload(number)))
    await pipe.execute()
    await client.aclose()


async def consume(
    url: str, count: int, *, plain: bool = False, many: bool = False
) -> float:
    """Handle what is there, one by one or many at once; returns events a second."""
    await fill(url, count)
    meter = Meter(count)
    broker = broker_of(url, plain=plain)

    async def handle(event: dict[str, Any]) -> None:  # noqa: ARG001
        meter.seen()

    async def handle_many(events: list[dict[str, Any]]) -> None:
        for _ in events:
            meter.seen()

    subscribe = broker.subscriber(stream=subscription(many=many))
    subscribe(handle_many if many else handle)
    async with broker:
        await broker.start()
        await meter.done.wait()
    return meter.rate


async def publish_concurrently(
    url: str, count: int, tasks: int = 100, *, plain: bool = False
) -> float:
    """Publish from many tasks at once."""
    meter = Meter(count)
    broker = broker_of(url, plain=plain)

    async def publisher() -> None:
        for data in payloads(count // tasks):
            await broker.publish(data, stream=STREAM)
            meter.seen()

    async with broker:
        await broker.start()
        await asyncio.gather(*(publisher() for _ in range(tasks)))
    return meter.rate


async def latency(url: str, count: int) -> list[float]:
    """How long after it was sent an event reaches its handler: p50 and p99, in seconds."""
    waited: list[float] = []
    done = asyncio.Event()
    broker = broker_of(url)

    @broker.subscriber(stream=subscription())
    async def handle(event: dict[str, Any]) -> None:
        waited.append(time.time() - event["at"])
        if len(waited) >= count:
            done.set()

    async with broker:
        await broker.start()
        await asyncio.wait_for(done.wait(), 120)
    return p50_and_p99(waited)
