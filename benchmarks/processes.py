"""Events per second of several consumer processes, compared with one."""

import asyncio
import time
from contextlib import ExitStack
from typing import Any

from redis.asyncio import Redis

from benchmarks.contenders.evmon import running_bus
from benchmarks.figures import Figure, Settings, alternate
from benchmarks.job import result_of, run_job, start_job
from benchmarks.redis_server import PrivateRedis
from evmon import Event

WORK = 2000
"""Additions per handler run: some tens of microseconds."""
IDLE = 0.5
"""Seconds without an event after which a consumer exits."""


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """Compare 1, 2 and 4 processes that share a full stream."""
    count = settings.count(50_000)

    def rate(processes: int) -> float:
        url = redis.empty()
        run_job("contenders.evmon:fill", url=url, count=count)
        with ExitStack() as running:
            consumers = [
                running.enter_context(start_job("processes:consume_share", url=url))
                for _ in range(processes)
            ]
            while int(redis.client.get("ready") or 0) < processes:
                time.sleep(0.05)
            redis.client.set("go", 1)
            shares = [result_of(consumer) for consumer in consumers]
        if sum(share["handled"] for share in shares) != count:
            raise RuntimeError("events were lost, or handled twice")
        busy = [share for share in shares if share["handled"]]
        first = min(share["first"] for share in busy)
        return count / (max(share["last"] for share in busy) - first)

    results = alternate(
        "processes",
        {f"{n} processes": lambda n=n: rate(n) for n in (1, 2, 4)},
        settings,
    )
    return [results.ratio(f"{n} processes", "1 processes") for n in (2, 4)]


async def consume_share(url: str) -> dict[str, float]:
    """Consume, next to other processes, until the stream has no more events.

    Returns:
        Number of events handled, and the times of the first and the last.
    """
    handled, first, last = 0, 0.0, 0.0

    async def handle(event: Event[Any]) -> None:  # noqa: ARG001
        nonlocal handled, first, last
        first = first or time.monotonic()
        sum(range(WORK))
        handled += 1
        last = time.monotonic()

    client = Redis.from_url(url)
    await client.incr("ready")
    while not await client.exists("go"):
        await asyncio.sleep(0.005)
    await client.aclose()
    async with running_bus(url, handle):
        began = time.monotonic()
        while time.monotonic() - max(last, began) < IDLE:
            await asyncio.sleep(0.05)
    return {"handled": handled, "first": first, "last": last}
