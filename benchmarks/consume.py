"""How many events a consumer handles each second."""

from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.measure import OFF, Figure, Settings, alternate, job
from benchmarks.servers import PrivateRedis


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """One consumer, a stream that is full, a handler that does nothing."""

    def consumer(
        target: str, count: int, environ: Mapping[str, str] | None = None
    ) -> Callable[[], float]:
        events = settings.count(count)
        return lambda: job(target, environ, url=redis.empty(), count=events)

    results = alternate(
        {
            "bare loop": consumer("bare:consume", 200_000),
            "evmon": consumer("ours:consume", 200_000),
            "evmon, telemetry off": consumer("ours:consume", 200_000, OFF),
            "FastStream": consumer("faststream_:consume", 5_000),
            "taskiq": consumer("taskiq_:consume", 5_000),
        },
        settings,
    )
    ratio = partial(results.ratio, "consume", "evmon")
    return [
        ratio("evmon, telemetry off", bar=0.90, reach=0.97),
        ratio("bare loop", bar=0.50, reach=0.80),
        ratio("FastStream", bar=10, reach=25),
        ratio("taskiq"),
    ]
