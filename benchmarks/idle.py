"""CPU use of a service without events."""

import asyncio
import statistics
import time
from typing import Any

from benchmarks.contenders.evmon import running_bus
from benchmarks.figures import Figure, Settings
from benchmarks.job import run_job
from benchmarks.redis_server import PrivateRedis
from evmon import Event, MetricsConfig

START_UP = 2.0
"""Seconds before the measurement starts."""


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """Median of three measurements, on Redis, with metrics server and monitor."""
    seconds = 10 if settings.quick else 60
    percentages = [
        run_job("idle:cpu_percentage", url=redis.empty(), seconds=seconds)
        for _ in range(min(settings.rounds, 3))
    ]
    name = f"CPU of an idle service on Redis over {seconds} s"
    value = statistics.median(percentages)
    return [Figure("idle", name, value, bar=0.2, reach=0.05, at_least=False, unit="%")]


async def cpu_percentage(url: str, seconds: float) -> float:
    """Share of one core that an idle service uses, in percent."""

    async def handle(event: Event[Any]) -> None: ...

    async with running_bus(url, handle, metrics=MetricsConfig(port=0)):
        await asyncio.sleep(START_UP)
        wall, cpu = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        return 100 * (time.process_time() - cpu) / (time.monotonic() - wall)
