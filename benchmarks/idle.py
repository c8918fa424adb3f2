"""What a service without work takes of a processor."""

import statistics

from benchmarks.measure import Figure, Settings, job
from benchmarks.servers import PrivateRedis


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """On Redis, with its metrics server and its monitor; the median of three looks."""
    seconds = 10 if settings.quick else 60
    looks = [
        job("ours:idle", url=redis.empty(), seconds=seconds)
        for _ in range(min(settings.rounds, 3))
    ]
    share = statistics.median(looks)
    name = f"CPU of an idle service on Redis over {seconds} s"
    return [
        Figure("idle", name, share, bar=0.2, reach=0.05, at_least=False, unit="%"),
    ]
