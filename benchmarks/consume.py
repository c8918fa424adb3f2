"""How many events a consumer handles each second."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from benchmarks.measure import OFF, Figure, Settings, alternate, job
from benchmarks.servers import PrivateRedis

_MANY: Final = "many at once"
_IN_MEMORY: Final = "memory://, publish and consume"


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """One consumer, a stream that is full, a handler that does nothing."""

    def consumer(
        target: str, count: int, environ: Mapping[str, str] | None = None, **more: Any
    ) -> Callable[[], float]:
        events = settings.count(count)
        return lambda: job(target, environ, url=redis.empty(), count=events, **more)

    results = alternate(
        {
            "bare loop": consumer("bare:consume", 200_000),
            "evmon": consumer("ours:consume", 200_000),
            "evmon, telemetry off": consumer("ours:consume", 200_000, OFF),
            "evmon, 10 streams": consumer("ours:consume", 200_000, streams=10),
            _MANY: consumer("ours:consume", 200_000, many=True),
            f"{_MANY}, telemetry off": consumer(
                "ours:consume", 200_000, OFF, many=True
            ),
            f"bare loop, {_MANY}": consumer("bare:consume", 200_000, many=True),
            f"FastStream, {_MANY}": consumer("faststream_:consume", 50_000, many=True),
            _IN_MEMORY: consumer("ours:through_memory", 200_000),
            f"{_IN_MEMORY}, telemetry off": consumer(
                "ours:through_memory", 200_000, OFF
            ),
            "FastStream": consumer("faststream_:consume", 5_000),
            "FastStream, plain": consumer("faststream_:consume", 5_000, plain=True),
            "taskiq": consumer("taskiq_:consume", 5_000),
        },
        settings,
    )
    ratio = partial(results.ratio, "consume", "evmon")
    return [
        ratio("evmon, telemetry off", bar=0.90, reach=0.97),
        ratio("bare loop", bar=0.50, reach=0.80),
        ratio("FastStream", bar=10, reach=25),
        ratio("FastStream, plain"),
        ratio("taskiq"),
        results.ratio("consume", "evmon, 10 streams", "evmon"),
        results.ratio("consume", _MANY, f"{_MANY}, telemetry off"),
        results.ratio("consume", _MANY, f"bare loop, {_MANY}"),
        results.ratio("consume", _MANY, f"FastStream, {_MANY}"),
        results.ratio("consume", _IN_MEMORY, f"{_IN_MEMORY}, telemetry off"),
    ]
