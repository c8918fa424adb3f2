"""How many events a publisher sends each second."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.measure import OFF, Figure, Settings, alternate, job
from benchmarks.servers import PrivateRedis


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """Batches of 1000, and 100 tasks that each await their own events."""

    def publisher(
        target: str, count: int, environ: Mapping[str, str] | None = None, **more: Any
    ) -> Callable[[], float]:
        events = settings.count(count)

        def publish() -> float:
            rate: float = job(target, environ, url=redis.empty(), count=events, **more)
            if redis.stored() != events:
                raise RuntimeError(f"{target} did not send all events")
            return rate

        return publish

    many, together, one = "publish_many", "100 concurrent publish", "single publish"
    results = alternate(
        {
            "bare pipelined XADD": publisher("bare:publish", 100_000),
            many: publisher("ours:publish_many", 100_000),
            f"{many}, telemetry off": publisher("ours:publish_many", 100_000, OFF),
            together: publisher("ours:publish_concurrently", 100_000),
            "FastStream": publisher("faststream_:publish_concurrently", 10_000),
            "FastStream, plain": publisher(
                "faststream_:publish_concurrently", 10_000, plain=True
            ),
            one: publisher("ours:publish_concurrently", 5_000, tasks=1),
            "bare single XADD": publisher("bare:publish_singly", 5_000),
            "FastStream, one by one": publisher(
                "faststream_:publish_concurrently", 5_000, tasks=1
            ),
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
        ratio(together, "FastStream, plain"),
        ratio(together, "taskiq"),
        ratio(one, "bare single XADD"),
        ratio(one, "FastStream, one by one"),
    ]
