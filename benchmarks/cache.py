"""A hit in the metadata cache, compared with scanning the class."""

from timeit import timeit

from benchmarks.figures import Figure, Settings, alternate
from benchmarks.redis_server import PrivateRedis
from evmon import event_handler
from evmon._discovery.cache import MetadataCache
from evmon._handlers.handlers import HandlerSpec, scan
from evmon._telemetry.buffered_meter import BufferedMeter

METHODS = 100


def provider_with(methods: int) -> type:
    """A class with this number of handlers.

    Args:
        methods: number of methods, each a handler of an event type of its own.
    """

    async def handle(self: object, event: object) -> None: ...

    return type(
        "Provider",
        (),
        {
            f"on_{number}": event_handler(f"order.created.{number}")(
                type(handle)(handle.__code__, {}, f"on_{number}")
            )
            for number in range(methods)
        },
    )


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Compare a hit, with telemetry, with a scan of a class with 100 methods."""
    provider = provider_with(METHODS)
    cache: MetadataCache[HandlerSpec] = MetadataCache(1e6, meter=BufferedMeter())
    found = cache.get_or_scan(provider, scan)
    if len(found) != METHODS:
        raise RuntimeError(f"the scan found {len(found)} of {METHODS} handlers")
    results = alternate(
        "cache",
        {
            "hit": lambda: (
                timeit(lambda: cache.get_or_scan(provider, scan), number=50_000)
                / 50_000
            ),
            f"scan of {METHODS} methods": lambda: (
                timeit(lambda: scan(provider), number=50) / 50
            ),
        },
        settings,
    )
    limits = {"bar": 1 / 100, "reach": 1 / 500, "at_least": False}
    return [results.ratio("hit", f"scan of {METHODS} methods", **limits)]
