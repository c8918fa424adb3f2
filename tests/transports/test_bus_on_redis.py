"""The bus on Redis Streams, from publish to handler and back, over several of them."""

import pytest

from evmon import Event, EventBus


async def test_an_event_travels_through_redis_to_its_handler(server, client):
    seen = []

    async def created(event: Event) -> None:
        seen.append(event.data)

    bus = EventBus(service="shop", transport=server.url)
    bus.add_handler("order.created", created)
    async with bus:
        await bus.publish("order.created", {"id": 7})
        await pytest.eventually(lambda: seen)
        await pytest.eventually(
            lambda: client.xpending("evmon:{shop}:events", "shop")["pending"] == 0
        )

    assert seen == [{"id": 7}]
