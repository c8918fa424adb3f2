"""What more consumer processes bring."""

import time
from contextlib import ExitStack

from benchmarks.measure import (
    Figure,
    Settings,
    alternate,
    job,
    result_of,
    start_job,
)
from benchmarks.servers import PrivateRedis

WORK = 2000
"""Additions that a handler makes: some tens of microseconds."""


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """1, 2 and 4 processes that share a full stream."""
    count = settings.count(50_000)

    def rate(processes: int) -> float:
        url = redis.empty()
        job("ours:fill", url=url, count=count)
        with ExitStack() as running:
            consumers = [
                running.enter_context(
                    start_job("ours:consume_share", url=url, work=WORK)
                )
                for _ in range(processes)
            ]
            while int(redis.client.get("ready") or 0) < processes:
                time.sleep(0.05)
            redis.client.set("go", 1)
            shares = [result_of(consumer) for consumer in consumers]
        if sum(share["seen"] for share in shares) != count:
            raise RuntimeError("events were lost, or handled twice")
        busy = [share for share in shares if share["seen"]]
        first = min(share["first"] for share in busy)
        return count / (max(share["last"] for share in busy) - first)

    results = alternate(
        {f"{n} processes": lambda n=n: rate(n) for n in (1, 2, 4)}, settings
    )
    return [results.ratio("processes", f"{n} processes", "1 processes") for n in (2, 4)]
