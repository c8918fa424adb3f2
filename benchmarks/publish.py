"""How many events a publisher sends each second."""

from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.measure import OFF, Figure, Settings, alternate, job
from benchmarks.servers import PrivateRedis


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """Batches of 1000, and 100 tasks that each await their own events."""

    def publisher(
        target: str, count: int, environ: Mapping[str, str] | None = None
    ) -> Callable[[], float]:
        events = settings.count(count)
        return lambda: job(target, environ, url=redis.empty(), count=events)

    many, together = "publish_many", "100 concurrent publish"
    results = alternate(
        {
            "bare pipelined XADD": publisher("bare:publish", 100_000),
            many: publisher("ours:publish_many", 100_000),
            f"{many}, telemetry off": publisher("ours:publish_many", 100_000, OFF),
            together: publisher("ours:publish_concurrently", 100_000),
            "FastStream": publisher("faststream_:publish_concurrently", 10_000),
            "taskiq": publisher("taskiq_:publish_concurrently", 10_000),
        },
        settings,
    )
    ratio = partial(results.ratio, "publish")
    return [
        ratio(many, "bare pipelined XADD", bar=0.60, reach=0.90),
        ratio(many, f"{many}, telemetry off"),
        ratio(together, "bare pipelined XADD", bar=0.35, reach=0.60),
        ratio(together, "FastStream", bar=5, reach=15),
        ratio(together, "taskiq"),
    ]
