"""Events per second of one consumer with a handler that does nothing."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from benchmarks.figures import Figure, Settings, alternate
from benchmarks.job import TELEMETRY_OFF, run_job
from benchmarks.redis_server import PrivateRedis

_BATCH: Final = "batch handler"
_IN_MEMORY: Final = "memory://, publish and consume"


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """Compare evmon with a bare loop, FastStream and taskiq on a full stream."""
    results = alternate("consume", _contenders(settings, redis), settings)
    evmon = partial(results.ratio, "evmon")
    return [
        evmon("evmon, telemetry off", bar=0.90, reach=0.97),
        evmon("bare loop", bar=0.50, reach=0.80),
        evmon("FastStream", bar=10, reach=25),
        evmon("FastStream, plain"),
        evmon("taskiq"),
        results.ratio("evmon, 10 streams", "evmon"),
        results.ratio(_BATCH, f"{_BATCH}, telemetry off"),
        results.ratio(_BATCH, f"bare loop, {_BATCH}"),
        results.ratio(_BATCH, f"FastStream, {_BATCH}"),
        results.ratio(_IN_MEMORY, f"{_IN_MEMORY}, telemetry off"),
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
        return lambda: run_job(
            target, environ, url=redis.empty(), count=events, **options
        )

    evmon = partial(job, "evmon:consume", 200_000)
    in_memory = partial(job, "evmon:publish_and_consume", 200_000)
    bare = partial(job, "redis_py:consume", 200_000)
    return {
        "bare loop": bare(),
        "evmon": evmon(),
        "evmon, telemetry off": evmon(TELEMETRY_OFF),
        "evmon, 10 streams": evmon(streams=10),
        _BATCH: evmon(batch_handler=True),
        f"{_BATCH}, telemetry off": evmon(TELEMETRY_OFF, batch_handler=True),
        f"bare loop, {_BATCH}": bare(batch_handler=True),
        f"FastStream, {_BATCH}": job("faststream:consume", 50_000, batch_handler=True),
        _IN_MEMORY: in_memory(),
        f"{_IN_MEMORY}, telemetry off": in_memory(TELEMETRY_OFF),
        "FastStream": job("faststream:consume", 5_000),
        "FastStream, plain": job("faststream:consume", 5_000, plain=True),
        "taskiq": job("taskiq:consume", 5_000),
    }
