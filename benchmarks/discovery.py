"""Discovery of the handlers of many providers, compared with `add_handler`."""

import time

from benchmarks.cache import provider_with
from benchmarks.figures import Figure, Settings, alternate
from benchmarks.job import run_job
from benchmarks.redis_server import PrivateRedis
from evmon import EventBus

METHODS = 20


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Compare discovery of providers with adding each of their handlers."""
    count = settings.count(10_000)
    results = alternate(
        "discovery",
        {
            "discovered": lambda: run_job("discovery:discover", count=count),
            "add_handler": lambda: run_job("discovery:add", count=count),
        },
        settings,
    )
    name = f"{count:,} providers of {METHODS} methods / add_handler of each"
    ratio = {"name": name, "at_least": False}
    return [results.ratio("discovered", "add_handler", **ratio)]


async def discover(count: int) -> float:
    """Seconds to discover all providers."""
    provider_class = provider_with(METHODS)
    providers = [provider_class() for _ in range(count)]
    bus = EventBus("bench")
    started = time.perf_counter()
    for provider in providers:
        bus.register(provider)
    async with bus:
        took = time.perf_counter() - started
        if len(bus.handlers) != count * METHODS:
            raise RuntimeError("not all handlers were discovered")
    return took


async def add(count: int) -> float:
    """Seconds to add all handlers with `add_handler`."""
    provider_class = provider_with(METHODS)
    providers = [provider_class() for _ in range(count)]
    bus = EventBus("bench")
    started = time.perf_counter()
    for provider in providers:
        for number in range(METHODS):
            bus.add_handler(
                f"order.created.{number}", getattr(provider, f"on_{number}")
            )
    return time.perf_counter() - started
