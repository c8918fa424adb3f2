"""Uses of the public API that are only type-checked, never run."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import assert_type

from evmon import (
    Batching,
    ConsumerConfig,
    Delivery,
    DiscoveryConfig,
    DiscoveryFailure,
    Event,
    EventBus,
    EventLimits,
    Finding,
    Handler,
    Metrics,
    MetricsConfig,
    Monitor,
    MonitorConfig,
    PublishError,
    Recommendation,
    Reject,
    RetryLater,
    RetryPolicy,
    Thresholds,
    event_handler,
    metrics_app,
)
from evmon.testing import (
    DeadLetter,
    Handled,
    VirtualClock,
    dead_letters,
    record,
    settled,
)


@dataclass
class Order:
    id: int


class Orders:
    @event_handler("order.created")
    async def created(self, event: Event[Order]) -> None:
        assert_type(event.data, Order)
        raise RetryLater(5)

    @event_handler("order.*", retry=RetryPolicy(max_retries=5, retry_on=(OSError,)))
    def audit(self, event: Event[Any], delivery: Delivery) -> None:
        assert_type(delivery.attempt, int)
        raise Reject("no")

    @staticmethod
    @event_handler("order.shipped")
    def shipped(order: Order) -> None: ...


@event_handler("user.signed_up")
async def welcome(event: Event[Any]) -> None: ...


bus = EventBus(
    service="shop",
    transport="memory://",
    discovery=DiscoveryConfig(batch_size=5),
    batching=Batching(max_size=10),
    consumer=ConsumerConfig(max_concurrency=10),
    retry=RetryPolicy(jitter="none"),
    thresholds=Thresholds(memory_warning_mb=256),
    monitor=MonitorConfig(check_interval_seconds=5),
    metrics=MetricsConfig(port=0),
    limits=EventLimits(max_bytes=1024),
)
bus.register(Orders())
bus.register(welcome)
bus.discover("shop.handlers")
bus.add_handler("a", print)
bus.publishes("order.created", Order)
bus.publishes("order.*")
clock = VirtualClock()
tested = EventBus(clock=clock)


async def main() -> None:
    async with bus as running:
        assert_type(running, EventBus)
        event = await bus.publish("order.created", {"id": 7})
        assert_type(event, Event[Any])
        results = await bus.publish_many([event, ("order.created", {"id": 8})])
        assert_type(results, list[PublishError | None])
        assert_type(
            await bus.publish_many([event], timeout=5), list[PublishError | None]
        )
        assert_type(bus.publish_nowait("order.created"), Event[Any])
        assert_type(bus.monitor, Monitor)
        assert_type(bus.handlers, tuple[Handler, ...])
        assert_type(bus.monitor.get_warnings(), tuple[Finding, ...])
        assert_type(bus.monitor.get_recommendations(), tuple[Recommendation, ...])
        assert_type(bus.discovery.failures, tuple[DiscoveryFailure, ...])
        metrics = bus.monitor.get_metrics()
        assert_type(metrics, Metrics)
        assert_type(metrics.cache.hit_rate, float | None)
        assert_type(metrics.to_dict(), dict[str, Any])
        for advice in bus.monitor.get_recommendations():
            assert_type(advice.runbook, str)
        assert_type(bus.monitor.get_performance_summary(), str)
        for failure in bus.discovery.failures:
            assert_type(failure.error, Exception)


async def test() -> None:
    history = record(tested)
    async with tested:
        await settled(tested)
        await clock.advance(3600)
        assert_type(dead_letters(tested), tuple[DeadLetter, ...])
        assert_type(history.published, tuple[Event[Any], ...])
        assert_type(history.handled, tuple[Handled, ...])


Scope = MutableMapping[str, Any]
app: Callable[
    [Scope, Callable[[], Awaitable[Scope]], Callable[[Scope], Awaitable[None]]],
    Awaitable[None],
] = metrics_app(bus)
