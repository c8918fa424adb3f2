"""taskiq on Redis Streams, with its OpenTelemetry middleware and no result backend."""

import asyncio
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry
from taskiq.middlewares.opentelemetry_middleware import OpenTelemetryMiddleware
from taskiq.receiver import Receiver
from taskiq_redis import RedisStreamBroker

from benchmarks.workload import RateCounter, payloads


def broker_of(url: str) -> RedisStreamBroker:
    """A broker with the OpenTelemetry middleware."""
    reader = PrometheusMetricReader(registry=CollectorRegistry())
    broker = RedisStreamBroker(url, consumer_id="0", xread_block=200)
    middleware = OpenTelemetryMiddleware(meter_provider=MeterProvider([reader]))
    return broker.with_middlewares(middleware)


async def _publish(task: Any, count: int, tasks: int, counter: RateCounter) -> None:
    async def publisher() -> None:
        for data in payloads(count // tasks):
            await task.kiq(data)
            counter.add()

    await asyncio.gather(*(publisher() for _ in range(tasks)))


async def publish_concurrently(url: str, count: int, tasks: int = 100) -> float:
    """Publish from several tasks, each awaiting its events; returns events per second."""
    counter = RateCounter(count)
    broker = broker_of(url)

    @broker.task
    async def handle(event: dict[str, Any]) -> None: ...

    await broker.startup()
    await _publish(handle, count, tasks, counter)
    await broker.shutdown()
    return counter.rate


async def consume(url: str, count: int) -> float:
    """Handle all events of a full stream; returns events per second."""
    counter = RateCounter(count)
    broker = broker_of(url)

    @broker.task
    async def handle(event: dict[str, Any]) -> None:  # noqa: ARG001
        counter.add()

    await broker.startup()
    await _publish(handle, count, 10, RateCounter(10**9))
    receiver = Receiver(
        broker, max_async_tasks=100, max_prefetch=100, run_startup=False
    )
    finish = asyncio.Event()
    listening = asyncio.create_task(receiver.listen(finish))
    await counter.done.wait()
    finish.set()
    await asyncio.wait([listening])
    await broker.shutdown()
    return counter.rate
