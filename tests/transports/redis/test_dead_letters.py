"""Dead letters keep the entry and the reason; they can be listed, replayed and purged."""

import pytest
from tests.transports.redis.entries import (
    DEAD,
    REASON,
    STREAM,
    an_event,
    pending,
    read_all,
)
from tests.waiting import eventually

from evmon import ConsumerConfig, EventBus, RedisConfig, RetryPolicy
from evmon._transports.redis.dead_letters import (
    MAX_PARTS,
    DeadLetterQueue,
    StoredDeadLetter,
)


@pytest.fixture
async def queue(server):
    queue = DeadLetterQueue(server.url, "shop", RedisConfig())
    yield queue
    await queue.close()


@pytest.fixture
def dead_letter(make):
    """Publishes events and dead-letters them."""

    async def dead_letter(count):
        t = await make()
        await t.publish([an_event(f"type.{n}") for n in range(count)])
        for received in await read_all(t, count):
            assert await t.settle(received, [REASON])
        return t

    return dead_letter


async def test_all_pages_are_listed_oldest_first(queue, dead_letter, client):
    await dead_letter(250)
    letters = [letter async for letter in queue.letters()]

    assert [entry_id for entry_id, _ in client.xrange(DEAD)] == [x.id for x in letters]
    assert b'"type":"type.0"' in letters[0].raw
    oldest = letters[0]
    assert ("handler_error", "a") == (oldest.reason, oldest.event_type)
    assert 0 == oldest.redriven


async def test_a_dead_letter_is_replayed_once_for_the_handlers_that_failed(
    queue, dead_letter, client
):
    t = await dead_letter(1)
    (letter,) = [letter async for letter in queue.letters()]

    assert [True] == await queue.replay([letter])
    assert [False] == await queue.replay([letter])
    assert (0, 2) == (client.xlen(DEAD), client.xlen(STREAM))
    (replayed,) = await read_all(t, 1)
    assert (letter.raw, 0, ("h",)) == (
        replayed.raw,
        replayed.attempts,
        replayed.handlers,
    )


async def test_a_missing_dead_letter_is_none(queue, dead_letter):
    assert not await queue.exists()
    await dead_letter(1)

    assert await queue.exists()
    assert await queue.letter("0-1") is None


async def test_purge_counts_only_existing_dead_letters(queue, dead_letter, client):
    await dead_letter(3)
    ids = [letter.id async for letter in queue.letters()]

    assert 2 == await queue.purge(ids[:2])
    assert 1 == await queue.purge(ids)
    assert 0 == client.xlen(DEAD)


def test_a_dead_letter_with_too_many_fields_cannot_be_replayed():
    assert StoredDeadLetter("1-1", {}, [b"x"] * MAX_PARTS).can_be_replayed
    assert not StoredDeadLetter("1-1", {}, [b"x"] * (MAX_PARTS + 2)).can_be_replayed


INVALID_ENTRIES = {
    "no event": ({"hello": "world"}, "decode_error"),
    "no utf-8": ({b"event": b"\xff\xfe", b"\xff": b"\xff"}, "decode_error"),
    "many fields": ({f"f{n}": "v" for n in range(200)}, "decode_error"),
    "very many fields": ({f"f{n}": "v" for n in range(3000)}, "decode_error"),
    "large": ({"event": "x" * 300_000}, "too_large"),
    "deep": ({"event": "[" * 1000}, "too_deep"),
    "unknown handlers": ({"event": an_event(), "handlers": "x\ny"}, "unknown_type"),
}


@pytest.mark.parametrize(
    ("fields", "reason"), INVALID_ENTRIES.values(), ids=INVALID_ENTRIES.keys()
)
async def test_an_invalid_entry_is_dead_lettered_and_the_next_one_is_handled(
    server, client, fields, reason
):
    seen = []
    bus = EventBus(service="shop", transport=server.url)
    bus.add_handler("a", lambda e: seen.append(e))
    client.xadd(STREAM, fields)
    async with bus:
        await bus.publish("a")
        await eventually(lambda: seen and client.xlen(DEAD))
        await eventually(lambda: pending(client) == 0)

    with server.client() as raw:
        raw.connection_pool.connection_kwargs["decode_responses"] = False
        (_, letter), *others = raw.xrange(DEAD)
    assert max(1, fields.get("handlers", "").count("\n") + 1) == 1 + len(others)
    assert reason == letter[b"dead.reason"].decode()
    if len(fields) < 1000:
        kept = {_bytes(name): _bytes(value) for name, value in fields.items()}
        assert kept.items() <= letter.items()
    else:
        assert b"f2999" in letter[b"packed"]


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode()


async def test_an_out_of_range_failure_time_does_not_stop_the_consumer(server, client):
    seen = []
    bus = EventBus(service="shop", transport=server.url)
    bus.add_handler("a", seen.append)
    client.xadd(STREAM, {"event": "no json", "first_failed": "999999999999"})
    client.xadd(STREAM, {"event": an_event()})
    async with bus:
        await eventually(lambda: seen)
        await eventually(lambda: client.xlen(DEAD) == 1)


async def test_an_event_above_its_delivery_limit_is_dead_lettered(server, client):
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
    poison = client.xadd(STREAM, {"event": an_event()})
    client.xadd(STREAM, {"event": an_event()})
    client.xreadgroup("shop", "crashed", {STREAM: ">"})
    client.xclaim(STREAM, "shop", "crashed", 0, [poison], idle=1000, retrycount=3)
    async with bus:
        await eventually(lambda: client.xlen(DEAD) == 1)
        await eventually(lambda: len(seen) == 1)
        await eventually(lambda: pending(client) == 0)

    ((_, letter),) = client.xrange(DEAD)
    assert "max_deliveries" == letter["dead.reason"]
    assert poison == letter["dead.id"]
    assert "4" == letter["dead.deliveries"]
