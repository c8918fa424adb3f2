"""Time to find the handlers of an event type, by number of patterns."""

from collections.abc import Callable
from timeit import timeit

from benchmarks.figures import Figure, Settings, alternate
from benchmarks.redis_server import PrivateRedis
from evmon._handlers.handlers import handler_of
from evmon._handlers.registry import Registry

PATTERNS = (1, 10, 100, 1000)


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Compare 10 to 1000 patterns with one, for known and new event types."""
    figures = []
    for name, lookup_of in (("known type", _cached), ("new type", _uncached)):
        results = alternate(
            "routing",
            {f"{count} patterns": lookup_of(_registry(count)) for count in PATTERNS},
            settings,
        )
        figures += [
            results.ratio(
                *(f"{count} patterns", "1 patterns"),
                name=f"{name}: {count} patterns / 1",
                at_least=False,
                bar=1.5 if count == 1000 else None,
                reach=1.1 if count == 1000 else None,
            )
            for count in PATTERNS[1:]
        ]
    return figures


def _registry(count: int) -> Registry:
    registry = Registry()

    async def handle(event: object) -> None: ...

    forms = ("order.created.{}", "order.*.{}", "shop{}.**", "shop.{}.*")
    registry.add(
        [
            handler_of(handle, forms[number % len(forms)].format(number), None)
            for number in range(count)
        ]
    )
    return registry


def _cached(registry: Registry) -> Callable[[], float]:
    match = registry.match
    match("order.created.0")
    return lambda: timeit(lambda: match("order.created.0"), number=200_000)


def _uncached(registry: Registry) -> Callable[[], float]:
    # `match` without its cache.
    find = registry._find
    return lambda: timeit(lambda: find("order.created.0"), number=20_000)
