"""taskiq on Redis Streams, with its OpenTelemetry middleware; no results are kept."""

import asyncio
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry
from taskiq.middlewares.opentelemetry_middleware import OpenTelemetryMiddleware
from taskiq.receiver import Receiver
from taskiq_redis import RedisStreamBroker

from benchmarks.events import Meter, payloads


def measured(url: str) -> RedisStreamBroker:
    """A broker that measures."""
    reader = PrometheusMetricReader(registry=CollectorRegistry())
    broker = RedisStreamBroker(url, consumer_id="0", xread_block=200)
    middleware = OpenTelemetryMiddleware(meter_provider=MeterProvider([reader]))
    return broker.with_middlewares(middleware)


async def _kick(task: Any, count: int, tasks: int, meter: Meter) -> None:
    async def publisher() -> None:
        for data in payloads(count // tasks):
            await task.kiq(data)
            meter.seen()

    await asyncio.gather(*(publisher() for _ in range(tasks)))


async def publish_concurrently(url: str, count: int, tasks: int = 100) -> float:
    """Publish from many tasks at once."""
    meter = Meter(count)
    broker = measured(url)

    @broker.task
    async def handle(event: dict[str, Any]) -> None: ...

    await broker.startup()
    await _kick(handle, count, tasks, meter)
    await broker.shutdown()
    return meter.rate


async def consume(url: str, count: int) -> float:
    """Handle what is there; returns events a second."""
    meter = Meter(count)
    broker = measured(url)

    @broker.task
    async def handle(event: dict[str, Any]) -> None:  # noqa: ARG001
        meter.seen()

    await broker.startup()
    await _kick(handle, count, 10, Meter(10**9))
    receiver = Receiver(
        broker, max_async_tasks=100, max_prefetch=100, run_startup=False
    )
    finish = asyncio.Event()
    listening = asyncio.create_task(receiver.listen(finish))
    await meter.done.wait()
    finish.set()
    await asyncio.wait([listening])
    await broker.shutdown()
    return meter.rate
