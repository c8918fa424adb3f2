"""What a service without work takes of a processor."""

from benchmarks.measure import Figure, Settings, job
from benchmarks.servers import PrivateRedis


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """On Redis, with its metrics server and its monitor; looked at once."""
    seconds = 10 if settings.quick else 60
    share = job("ours:idle", url=redis.empty(), seconds=seconds)
    name = f"CPU of an idle service on Redis over {seconds} s"
    return [
        Figure("idle", name, share, bar=0.2, reach=0.05, at_least=False, unit="%"),
    ]
