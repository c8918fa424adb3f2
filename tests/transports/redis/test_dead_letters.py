"""A failed entry is dead-lettered, scheduled or both, once, with all that is known of it."""

import pytest
from tests.transports.redis.entries import (
    DEAD,
    ENTRIES,
    RETRY,
    STREAM,
    WHY,
    an_event,
    pending,
    read_all,
    read_for,
)

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


async def test_a_dead_letter_is_acked_and_put_aside_once(make, client):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)

    assert await t.settle(received, WHY, None) is True
    assert await t.settle(received, WHY, None) is False

    assert pending(client) == 0
    ((_, fields),) = client.xrange(DEAD)
    assert fields["event"] == "a"
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


async def test_a_scheduled_entry_comes_back_after_its_delay(make, client):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    before = float(client.time()[0]) + client.time()[1] / 1e6

    assert await t.settle(received, None, Redelivery(0.2, 2, ("h", "g"))) is True
    assert await t.settle(received, None, Redelivery(0.2, 2, ("h", "g"))) is False
    assert pending(client) == 0
    ((_, due),) = client.zrange(RETRY, 0, -1, withscores=True)
    assert before + 0.19 <= due / 1000 <= before + 5
    assert await t.read(10, 0.01) == []

    (later,) = await read_all(t, 1)
    assert (later.raw, later.attempts, later.handlers) == (b"a", 2, ("h", "g"))
    assert later.deliveries == 1
    assert client.exists(RETRY, ENTRIES) == 0
    t.ack(later)
    await t.flush()
    assert pending(client) == 0


async def test_an_entry_may_be_dead_for_one_handler_and_scheduled_for_another(
    make, client
):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    assert await t.settle(received, WHY, Redelivery(0, 3, ("g",)))

    assert client.xlen(DEAD) == 1
    (later,) = await read_all(t, 1)
    assert later.handlers == ("g",)


async def test_a_scheduled_entry_returns_to_the_group_that_failed_alone(make, client):
    one, two = await make(group="one"), await make(group="two")
    await one.publish([b"a"])
    (received,) = await one.read(10, 0.01)
    (other,) = await two.read(10, 0.01)
    two.ack(other)
    await one.settle(received, None, Redelivery(0, 1, ()))

    (later,) = await read_all(one, 1)
    assert later.attempts == 1
    assert await read_for(two, 0.1) == []
    await two.flush()
    assert pending(client, "two") == 0


async def test_a_full_schedule_refuses_and_the_entry_stays_pending(make, client):
    t = await make(max_scheduled=1)
    await t.publish([b"a", b"b"])
    one, two = await t.read(10, 0.01)
    await t.settle(one, None, Redelivery(60, 1, ()))
    with pytest.raises(TransportError, match="holds 1 events"):
        await t.settle(two, WHY, Redelivery(60, 1, ()))

    assert pending(client) == 1
    assert client.xlen(DEAD) == 0
    assert await t.settle(two, WHY, None)


async def test_a_full_schedule_is_emptied_while_every_slot_waits_for_room_in_it(
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
        await pytest.eventually(lambda: client.zcard(RETRY) == pending(client) == 2)
        failing = False
        await pytest.eventually(lambda: handled == {0, 1, 2, 3}, 20)


@pytest.mark.parametrize("end", [(WHY, None), (None, Redelivery(60, 1, ()))])
async def test_a_lost_answer_to_a_settlement_is_no_loss_and_no_double(
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
            await t.settle(received, *end)
    assert await t.settle(received, *end) is True
    assert await t.settle(received, *end) is False

    assert client.xlen(DEAD) + client.zcard(RETRY) == 1


async def test_a_retry_returns_to_the_stream_that_it_came_from(make, client):
    t = await make(streams=("x",), stream_for=lambda kind: kind)
    await t.publish([b"a"], ["x"])
    (received,) = await read_all(t, 1)
    await t.settle(received, None, Redelivery(0, 1, ()))
    (later,) = await read_all(t, 1)

    assert client.xlen(f"{STREAM}:x") == 2
    assert client.xlen(STREAM) == 0
    assert await t.settle(later, WHY, None)
    ((_, fields),) = client.xrange(DEAD)
    assert fields["dead.stream"] == f"{STREAM}:x"


STRANGERS = {
    "no event": ({"hello": "world"}, "decode_error"),
    "no utf-8": ({b"event": b"\xff\xfe", b"\xff": b"\xff"}, "decode_error"),
    "many fields": ({f"f{n}": "v" for n in range(200)}, "decode_error"),
    "very many fields": ({f"f{n}": "v" for n in range(3000)}, "decode_error"),
    "large": ({"event": "x" * 300_000}, "too_large"),
    "deep": ({"event": "[" * 1000}, "too_deep"),
    "unknown handlers": ({"event": an_event(), "handlers": "x\ny"}, "unknown_type"),
}


@pytest.mark.parametrize(("fields", "reason"), STRANGERS.values(), ids=STRANGERS.keys())
async def test_what_strangers_write_is_put_aside_and_the_rest_goes_on(
    server, client, fields, reason
):
    seen = []
    bus = EventBus(service="shop", transport=server.url)
    bus.add_handler("a", lambda e: seen.append(e))
    client.xadd(STREAM, fields)
    async with bus:
        await bus.publish("a")
        await pytest.eventually(lambda: seen and client.xlen(DEAD) == 1)
        await pytest.eventually(lambda: pending(client) == 0)

    with server.client() as raw:
        raw.connection_pool.connection_kwargs["decode_responses"] = False
        ((_, letter),) = raw.xrange(DEAD)
    assert letter[b"dead.reason"].decode() == reason
    if len(fields) < 1000:
        kept = {_bytes(name): _bytes(value) for name, value in fields.items()}
        assert kept.items() <= letter.items()
    else:
        assert b"f2999" in letter[b"packed"]


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode()


async def test_a_time_of_failure_of_the_far_future_does_not_stop_the_consumer(
    server, client
):
    seen = []
    bus = EventBus(service="shop", transport=server.url)
    bus.add_handler("a", seen.append)
    client.xadd(STREAM, {"event": "no json", "first_failed": "999999999999"})
    client.xadd(STREAM, {"event": an_event()})
    async with bus:
        await pytest.eventually(lambda: seen)
        await pytest.eventually(lambda: client.xlen(DEAD) == 1)


async def test_an_event_that_was_delivered_too_often_is_put_aside(server, client):
    seen = []
    bus = EventBus(
        service="shop",
        transport=server.url,
        redis=RedisConfig(lease=0.1),
        consumer=ConsumerConfig(max_deliveries=3),
        retry=RetryPolicy(max_retries=0),
    )
    bus.add_handler("a", seen.append)
    client.xgroup_create(STREAM, "shop", "0", mkstream=True)
    deadly = client.xadd(STREAM, {"event": an_event()})
    client.xadd(STREAM, {"event": an_event()})
    client.xreadgroup("shop", "crashed", {STREAM: ">"})
    client.xclaim(STREAM, "shop", "crashed", 0, [deadly], idle=1000, retrycount=3)
    async with bus:
        await pytest.eventually(lambda: client.xlen(DEAD) == 1)
        await pytest.eventually(lambda: len(seen) == 1)
        await pytest.eventually(lambda: pending(client) == 0)

    ((_, letter),) = client.xrange(DEAD)
    assert letter["dead.reason"] == "max_deliveries"
    assert letter["dead.id"] == deadly
    assert letter["dead.deliveries"] == "4"
