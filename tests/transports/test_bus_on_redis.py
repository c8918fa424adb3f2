"""The bus on Redis Streams."""

import asyncio

from tests.waiting import eventually

from evmon import Event, EventBus, MetricsConfig, RedisConfig


async def test_a_published_event_reaches_its_handler(server, client):
    seen = []

    async def created(event: Event) -> None:
        seen.append(event.data)

    bus = EventBus(service="shop", transport=server.url)
    bus.add_handler("order.created", created)
    async with bus:
        await bus.publish("order.created", {"id": 7})
        await eventually(lambda: seen)
        await eventually(
            lambda: client.xpending("evmon:{shop}:events", "shop")["pending"] == 0
        )

    assert [{"id": 7}] == seen


async def test_stream_metrics_are_withdrawn_while_the_server_is_down(own_server):
    server = own_server()
    config = RedisConfig(timeout=0.5, upkeep_interval=0.05)
    bus = EventBus(
        service="shop",
        transport=server.url,
        redis=config,
        metrics=MetricsConfig(port=0, cache_seconds=0),
    )
    bus.add_handler("a", lambda event: None)

    def shown(name):
        text = bus.routes.answer("GET", "/metrics", {}).body.decode()
        return [line for line in text.splitlines() if line.startswith(f"{name}{{")]

    async with bus:
        await eventually(lambda: shown("evmon_consumer_lag"))
        server.stop()
        await eventually(lambda: not shown("evmon_consumer_lag"))
        assert not shown("evmon_dead_letter_queue_size")
        (known,) = shown("evmon_consumer_lag_known")
        assert known.endswith(" 0.0")

        server.start()
        await eventually(lambda: shown("evmon_consumer_lag"))


async def test_a_bus_that_only_publishes_creates_no_group(server, client):
    config = RedisConfig(upkeep_interval=0.05)
    bus = EventBus(service="shop", transport=server.url, redis=config)
    async with bus:
        await bus.publish("order.created")
        await asyncio.sleep(3 * config.upkeep_interval)
        assert 200 == bus.routes.answer("GET", "/readyz", {}).status

    assert [] == client.xinfo_groups("evmon:{shop}:events")
