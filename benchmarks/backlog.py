"""Start, memory and maintenance of a consumer with little in Redis, and with much."""

import time
from typing import Any

from redis import Redis

from benchmarks.figures import Figure, Settings
from benchmarks.job import run_job
from benchmarks.redis_server import PrivateRedis
from evmon import RedisConfig
from evmon._transports.redis import RedisTransport

SERVICE = "bench"
STREAM = f"evmon:{{{SERVICE}}}:events"
RETRY = f"evmon:{{{SERVICE}}}:retry"
ENTRIES = 1_000_000
PENDING = 100_000
SCHEDULED = 100_000
CONSUMERS = 1_000
SMALL = 100
"""Divisor of all numbers for the comparison."""
PAGE = 10_000
RUNS = 20


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """Measure with a hundredth of the backlog, and with all of it."""
    results = []
    for divisor in (SMALL, 1):
        redis.empty()
        fill(redis.client, settings.count(1_000_000) / 1_000_000 / divisor)
        results.append(run_job("backlog:consumer", url=redis.url))
    small, large = results
    return [
        Figure(
            "backlog",
            f"{name} with {SMALL} times the backlog",
            large[name] - small[name],
            bar=bar,
            at_least=False,
            unit=unit,
            medians={"little": small[name], "much": large[name]},
        )
        for name, bar, unit in (
            ("start", 250.0, "ms"),
            ("maintenance", 50.0, "ms"),
            ("memory", 10.0, "MB"),
        )
    ]


def fill(client: "Redis[bytes]", share: float) -> None:
    """Add a share of the entries, pending entries, consumers and scheduled retries."""
    client.xgroup_create(STREAM, SERVICE, "0", mkstream=True)
    for start in range(0, int(ENTRIES * share), PAGE):
        pipe = client.pipeline(transaction=False)
        for _ in range(start, min(start + PAGE, int(ENTRIES * share))):
            pipe.xadd(STREAM, {"event": "{}"})
        pipe.execute()
    consumers = max(int(CONSUMERS * share), 1)
    for number in range(consumers):
        count = int(PENDING * share) // consumers
        client.xreadgroup(SERVICE, f"dead-{number}", {STREAM: ">"}, count=count)
    later = int(time.time() * 1000) + 3_600_000
    for start in range(0, int(SCHEDULED * share), PAGE):
        end = min(start + PAGE, int(SCHEDULED * share))
        names = [f"retry-{number}" for number in range(start, end)]
        client.zadd(RETRY, dict.fromkeys(names, later))


async def consumer(url: str) -> dict[str, Any]:
    """Milliseconds to start and for a maintenance run, and megabytes of memory grown."""
    import psutil

    process = psutil.Process()
    before = process.memory_info().rss
    # A lease longer than the benchmark: the backlog stays as it is.
    transport = RedisTransport(url, SERVICE, config=RedisConfig(lease=3600))
    started = time.perf_counter()
    await transport.open()
    await transport.read(100, 0.01)
    opened = time.perf_counter()
    for _ in range(RUNS):
        await transport._maintenance.run_once()
    ended = time.perf_counter()
    memory = process.memory_info().rss - before
    await transport.close()
    return {
        "start": 1000 * (opened - started),
        "maintenance": 1000 * (ended - opened) / RUNS,
        "memory": memory / 1e6,
    }
