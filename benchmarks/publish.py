"""Events per second of one publisher."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from benchmarks.figures import Figure, Settings, alternate
from benchmarks.job import TELEMETRY_OFF, run_job
from benchmarks.redis_server import PrivateRedis

_BATCHES: Final = "publish_many"
_CONCURRENT: Final = "100 concurrent publish"
_SINGLE: Final = "single publish"


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """Compare batches of 1000, 100 concurrent tasks, and single events."""
    ratio = alternate("publish", _contenders(settings, redis), settings).ratio
    return [
        ratio(_BATCHES, "bare pipelined XADD", bar=0.60, reach=0.90),
        ratio(_BATCHES, f"{_BATCHES}, telemetry off"),
        ratio(_CONCURRENT, "bare pipelined XADD", bar=0.35, reach=0.60),
        ratio(_CONCURRENT, "FastStream", bar=5, reach=15),
        ratio(_CONCURRENT, "FastStream, plain"),
        ratio(_CONCURRENT, "taskiq"),
        ratio(_SINGLE, "bare single XADD"),
        ratio(_SINGLE, "FastStream, one by one"),
    ]


def _contenders(
    settings: Settings, redis: PrivateRedis
) -> dict[str, Callable[[], float]]:
    def job(
        function: str,
        count: int,
        environ: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Callable[[], float]:
        target, events = f"contenders.{function}", settings.count(count)

        def publish() -> float:
            url = redis.empty()
            rate: float = run_job(target, environ, url=url, count=events, **options)
            if redis.entries() != events:
                raise RuntimeError(f"{target} did not append all events")
            return rate

        return publish

    batches = partial(job, "evmon:publish_many", 100_000)
    faststream = partial(job, "faststream:publish_concurrently")
    return {
        "bare pipelined XADD": job("redis_py:publish", 100_000),
        _BATCHES: batches(),
        f"{_BATCHES}, telemetry off": batches(TELEMETRY_OFF),
        _CONCURRENT: job("evmon:publish_concurrently", 100_000),
        "FastStream": faststream(10_000),
        "FastStream, plain": faststream(10_000, plain=True),
        _SINGLE: job("evmon:publish_concurrently", 5_000, tasks=1),
        "bare single XADD": job("redis_py:publish_singly", 5_000),
        "FastStream, one by one": faststream(5_000, tasks=1),
        "taskiq": job("taskiq:publish_concurrently", 10_000),
    }
