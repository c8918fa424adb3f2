"""FastStream, by default with its Prometheus and OpenTelemetry middlewares.

It logs no messages, has no tracer, and reads up to 100 entries at once.
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

from benchmarks.workload import (
    GROUP,
    STREAM,
    RateCounter,
    p50_and_p99,
    payload,
    payloads,
)


def broker_of(url: str, *, plain: bool = False) -> RedisBroker:
    """A broker, with middlewares unless it is plain."""
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


def subscription(*, batch_handler: bool = False) -> StreamSub:
    """A subscription to the stream as a consumer of the group."""
    consumer: dict[str, Any] = {"group": GROUP, "consumer": "c", "last_id": "0"}
    return StreamSub(STREAM, **consumer, max_records=100, batch=batch_handler)


async def entry_fields(data: Any) -> dict[str, bytes]:
    """The fields of an entry, as FastStream's publisher writes them."""
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
        pipe.xadd(STREAM, await entry_fields(payload(number)))
    await pipe.execute()
    await client.aclose()


async def consume(
    url: str, count: int, *, plain: bool = False, batch_handler: bool = False
) -> float:
    """Handle all events of a full stream; returns events per second."""
    await fill(url, count)
    counter = RateCounter(count)
    broker = broker_of(url, plain=plain)

    async def handle(event: dict[str, Any]) -> None:  # noqa: ARG001
        counter.add()

    async def handle_batch(events: list[dict[str, Any]]) -> None:
        for _ in events:
            counter.add()

    subscribe = broker.subscriber(stream=subscription(batch_handler=batch_handler))
    subscribe(handle_batch if batch_handler else handle)
    async with broker:
        await broker.start()
        await counter.done.wait()
    return counter.rate


async def publish_concurrently(
    url: str, count: int, tasks: int = 100, *, plain: bool = False
) -> float:
    """Publish from several tasks, each awaiting its events; returns events per second."""
    counter = RateCounter(count)
    broker = broker_of(url, plain=plain)

    async def publisher() -> None:
        for data in payloads(count // tasks):
            await broker.publish(data, stream=STREAM)
            counter.add()

    async with broker:
        await broker.start()
        await asyncio.gather(*(publisher() for _ in range(tasks)))
    return counter.rate


async def latency(url: str, count: int) -> list[float]:
    """Seconds from sending to handling an event: p50 and p99."""
    latencies: list[float] = []
    done = asyncio.Event()
    broker = broker_of(url)

    @broker.subscriber(stream=subscription())
    async def handle(event: dict[str, Any]) -> None:
        latencies.append(time.time() - event["at"])
        if len(latencies) >= count:
            done.set()

    async with broker:
        await broker.start()
        await asyncio.wait_for(done.wait(), 120)
    return p50_and_p99(latencies)
