"""How long it takes to find the handlers of very many providers."""

import time

from benchmarks.cache import provider_with
from benchmarks.measure import Figure, Settings, alternate, job
from benchmarks.servers import PrivateRedis
from evmon import EventBus

METHODS = 20


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Discovered providers, against the same handlers added one by one."""
    count = settings.count(10_000)
    results = alternate(
        {
            "discovered": lambda: job("discovery:discover", count=count),
            "add_handler": lambda: job("discovery:add", count=count),
        },
        settings,
    )
    name = f"{count:,} providers of {METHODS} methods / add_handler of each"
    ratio = {"name": name, "at_least": False}
    return [results.ratio("discovery", "discovered", "add_handler", **ratio)]


async def discover(count: int) -> float:
    """Seconds until all providers were looked at."""
    kind = provider_with(METHODS)
    providers = [kind() for _ in range(count)]
    bus = EventBus("bench")
    started = time.perf_counter()
    for provider in providers:
        bus.register(provider)
    async with bus:
        took = time.perf_counter() - started
        if len(bus.handlers) != count * METHODS:
            raise RuntimeError("not all handlers were found")
    return took


async def add(count: int) -> float:
    """Seconds until all handlers were added by hand."""
    kind = provider_with(METHODS)
    providers = [kind() for _ in range(count)]
    bus = EventBus("bench")
    started = time.perf_counter()
    for provider in providers:
        for number in range(METHODS):
            bus.add_handler(
                f"order.created.{number}", getattr(provider, f"on_{number}")
            )
    return time.perf_counter() - started
