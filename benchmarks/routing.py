"""Whether finding the handlers of an event takes longer when there are more of them."""

from collections.abc import Callable
from timeit import timeit

from benchmarks.measure import Figure, Settings, alternate
from benchmarks.servers import PrivateRedis
from evmon._handlers.handlers import handler_of
from evmon._handlers.registry import Registry

PATTERNS = (1, 10, 100, 1000)


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Types that were met before, and types that were not."""
    figures = []
    for name, look in (("known type", _known), ("new type", _new)):
        results = alternate(
            {f"{count} patterns": look(_registry(count)) for count in PATTERNS},
            settings,
        )
        figures += [
            results.ratio(
                *("routing", f"{count} patterns", "1 patterns"),
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


def _known(registry: Registry) -> Callable[[], float]:
    match = registry.match
    match("order.created.0")
    return lambda: timeit(lambda: match("order.created.0"), number=200_000)


def _new(registry: Registry) -> Callable[[], float]:
    # What is looked up behind the cache of routes.
    find = registry._find
    return lambda: timeit(lambda: find("order.created.0"), number=20_000)
