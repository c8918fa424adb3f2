"""Events keep the attributes of CloudEvents through retry, dead letter and replay."""

import json

import pytest
from tests.waiting import eventually

from evmon import Event, EventBus, RedisConfig, RetryPolicy
from evmon._events import now
from evmon._transports.redis.dead_letters import DeadLetterQueue

EXTENSIONS = {"partitionkey": "a", "sampledrate": 3, "test": True}
DELAY = 0.01


def an_event():
    return Event(
        id="1",
        source="web",
        type="paid",
        time=now(),
        data={"id": 7},
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        tracestate="vendor=1",
        subject="orders/7",
        datacontenttype="application/json",
        dataschema="https://shop.example/order.json",
        extensions=EXTENSIONS,
    )


@pytest.fixture
async def queue(server):
    queue = DeadLetterQueue(server.url, "shop", RedisConfig())
    yield queue
    await queue.close()


async def test_an_event_keeps_its_attributes_when_it_is_retried_and_replayed(
    server, client, queue
):
    seen, failing = [], True

    async def handle(event: Event) -> None:
        seen.append(event)
        if failing:
            raise ValueError("no")

    bus = EventBus(
        "shop",
        server.url,
        retry=RetryPolicy(max_retries=1, base_delay=DELAY),
        redis=RedisConfig(upkeep_interval=0.05),
    )
    bus.add_handler("paid", handle)
    sent = an_event()
    async with bus:
        await bus.publish_many([sent])
        ((_, fields),) = client.xrange("evmon:{shop}:events")
        published = json.loads(fields["event"])
        await eventually(lambda: client.xlen("evmon:{shop}:dead") == 1)
        (letter,) = [letter async for letter in queue.letters()]
        failing = False
        assert [True] == await queue.replay([letter])
        await eventually(lambda: len(seen) == 3)

    assert [sent] * 3 == seen
    assert [EXTENSIONS] * 3 == [dict(event.extensions) for event in seen]
    assert published == json.loads(letter.raw)
    assert EXTENSIONS.items() <= published.items()
    for name in ("tracestate", "subject", "dataschema", "datacontenttype"):
        assert getattr(sent, name) == published[name]
