"""A failed entry is dead-lettered, scheduled for a retry, or both, atomically and once."""

from dataclasses import replace

import pytest
from tests.transports.redis.entries import (
    DEAD,
    ENTRIES,
    REASON,
    RETRY,
    STREAM,
    pending,
    read_all,
    read_for,
)
from tests.waiting import eventually

from evmon import (
    ConsumerConfig,
    Event,
    EventBus,
    RedisConfig,
    RetryLater,
    RetryPolicy,
    TransportError,
)
from evmon._transports.base import Redelivery
from evmon._transports.redis.errors import BrokenError


async def test_a_dead_lettered_entry_is_acknowledged_and_stored_once(make, client):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)

    assert await t.settle(received, [REASON]) is True
    assert await t.settle(received, [REASON]) is False

    assert 0 == pending(client)
    ((_, fields),) = client.xrange(DEAD)
    assert "a" == fields["event"]
    assert {
        "dead.reason": "handler_error",
        "dead.stream": STREAM,
        "dead.id": received.id,
        "dead.group": "shop",
        "dead.error_type": "builtins.ValueError",
        "dead.error_message": "no",
        "dead.handlers": "h",
        "dead.attempts": "3",
        "dead.deliveries": "1",
        "dead.redriven": "0",
    }.items() <= fields.items()


async def test_a_scheduled_entry_is_delivered_after_its_delay(make, client):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    before = float(client.time()[0]) + client.time()[1] / 1e6

    assert await t.settle(received, [Redelivery(0.2, 2, ("h", "g"))]) is True
    assert await t.settle(received, [Redelivery(0.2, 2, ("h", "g"))]) is False
    assert 0 == pending(client)
    ((_, due),) = client.zrange(RETRY, 0, -1, withscores=True)
    assert before + 0.19 <= due / 1000 <= before + 5
    assert [] == await t.read(10, 0.01)

    (retry,) = await read_all(t, 1)
    assert (b"a", 2, ("h", "g")) == (retry.raw, retry.attempts, retry.handlers)
    assert 1 == retry.deliveries
    assert 0 == client.exists(RETRY, ENTRIES)
    t.ack(retry)
    await t.flush()
    assert 0 == pending(client)


async def test_an_entry_can_be_dead_lettered_and_scheduled_at_once(make, client):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    assert await t.settle(received, [REASON, Redelivery(0, 3, ("g",))])

    assert 1 == client.xlen(DEAD)
    (retry,) = await read_all(t, 1)
    assert ("g",) == retry.handlers


async def test_every_handler_has_a_retry_and_a_dead_letter_of_its_own(make, client):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    rejected = replace(REASON, reason="rejected", handlers=("i",), attempts=1)
    retries = [Redelivery(0, 3, ("f",)), Redelivery(60, 1, ("g",))]
    assert await t.settle(received, [REASON, *retries, rejected])

    letters = [fields for _, fields in client.xrange(DEAD)]
    assert [("h", "3"), ("i", "1")] == [
        (letter["dead.handlers"], letter["dead.attempts"]) for letter in letters
    ]
    (retry,) = await read_all(t, 1)
    assert (3, ("f",)) == (retry.attempts, retry.handlers)
    assert 1 == client.zcard(RETRY) == client.hlen(ENTRIES)


async def test_a_retry_is_delivered_only_to_the_group_that_failed(make, client):
    one, two = await make(group="one"), await make(group="two")
    await one.publish([b"a"])
    (received,) = await one.read(10, 0.01)
    (other,) = await two.read(10, 0.01)
    two.ack(other)
    await one.settle(received, [Redelivery(0, 1, ())])

    (retry,) = await read_all(one, 1)
    assert 1 == retry.attempts
    assert [] == await read_for(two, 0.1)
    await two.flush()
    assert 0 == pending(client, "two")


async def test_an_entry_stays_pending_if_the_retry_schedule_is_full(make, client):
    t = await make(max_scheduled=1)
    await t.publish([b"a", b"b"])
    one, two = await t.read(10, 0.01)
    await t.settle(one, [Redelivery(60, 1, ())])
    with pytest.raises(TransportError, match="holds 1 events"):
        await t.settle(two, [REASON, Redelivery(60, 1, ())])

    assert 1 == pending(client)
    assert 0 == client.xlen(DEAD)
    assert await t.settle(two, [REASON])


async def test_a_full_schedule_is_promoted_while_every_slot_waits_to_settle(
    server, client
):
    failing, handled = True, set()

    async def handler(event: Event) -> None:
        if failing:
            raise RetryLater(1.1)
        handled.add(event.data)

    bus = EventBus(
        service="shop",
        transport=server.url,
        redis=RedisConfig(max_scheduled=2, upkeep_interval=0.1),
        consumer=ConsumerConfig(max_concurrency=2, breaker_limit_percent=None),
        retry=RetryPolicy(max_retries=100),
    )
    bus.add_handler("a", handler)
    async with bus:
        await bus.publish_many([("a", n) for n in range(4)])
        await eventually(lambda: client.zcard(RETRY) == pending(client) == 2)
        failing = False
        await eventually(lambda: handled == {0, 1, 2, 3}, 20)


@pytest.mark.parametrize("end", [[REASON], [Redelivery(60, 1, ())]])
async def test_a_settlement_whose_reply_was_lost_happens_once(
    make, client, monkeypatch, end
):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    run = t._client.eval

    async def lose_reply(*script_call):
        await run(*script_call)
        raise BrokenError("no reply")

    with monkeypatch.context() as broken:
        broken.setattr(t._client, "eval", lose_reply)
        with pytest.raises(TransportError):
            await t.settle(received, end)
    assert await t.settle(received, end) is True
    assert await t.settle(received, end) is False

    assert 1 == client.xlen(DEAD) + client.zcard(RETRY)


async def test_a_retry_returns_to_its_own_stream(make, client):
    t = await make(streams=("x",), stream_for=lambda kind: kind)
    await t.publish([b"a"], ["x"])
    (received,) = await read_all(t, 1)
    await t.settle(received, [Redelivery(0, 1, ())])
    (retry,) = await read_all(t, 1)

    assert 2 == client.xlen(f"{STREAM}:x")
    assert 0 == client.xlen(STREAM)
    assert await t.settle(retry, [REASON])
    ((_, fields),) = client.xrange(DEAD)
    assert f"{STREAM}:x" == fields["dead.stream"]
