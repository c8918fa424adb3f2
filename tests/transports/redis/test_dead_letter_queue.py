"""The dead letters of a service can be read, replayed once and deleted."""

import pytest
from tests.transports.redis.entries import DEAD, STREAM, WHY, an_event, read_all

from evmon import RedisConfig
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
def put_aside(make):
    """Publishes events and dead-letters them."""

    async def put_aside(count):
        t = await make()
        await t.publish([an_event(f"type.{n}") for n in range(count)])
        for received in await read_all(t, count):
            assert await t.settle(received, WHY, None)
        return t

    return put_aside


async def test_letters_come_page_by_page_and_the_oldest_first(queue, put_aside, client):
    await put_aside(250)
    letters = [letter async for letter in queue.letters()]

    assert [entry_id for entry_id, _ in client.xrange(DEAD)] == [x.id for x in letters]
    assert b'"type":"type.0"' in letters[0].raw
    assert ("handler_error", "a", 0) == (
        letters[0].reason,
        letters[0].event_type,
        letters[0].redriven,
    )


async def test_a_letter_is_replayed_once_for_the_handlers_that_failed(
    queue, put_aside, client
):
    t = await put_aside(1)
    (letter,) = [letter async for letter in queue.letters()]

    assert await queue.replay(letter)
    assert not await queue.replay(letter)
    assert (0, 2) == (client.xlen(DEAD), client.xlen(STREAM))
    (again,) = await read_all(t, 1)
    assert (letter.raw, 0, ("h",)) == (again.raw, again.attempts, again.handlers)


async def test_a_letter_that_is_not_there_is_none(queue, put_aside):
    assert not await queue.exists()
    await put_aside(1)

    assert await queue.exists()
    assert await queue.letter("0-1") is None


async def test_what_is_purged_is_counted_once(queue, put_aside, client):
    await put_aside(3)
    ids = [letter.id async for letter in queue.letters()]

    assert 2 == await queue.purge(ids[:2])
    assert 1 == await queue.purge(ids)
    assert 0 == client.xlen(DEAD)


def test_only_a_letter_of_very_many_fields_cannot_be_replayed():
    assert StoredDeadLetter("1-1", {}, [b"x"] * MAX_PARTS).can_be_replayed
    assert not StoredDeadLetter("1-1", {}, [b"x"] * (MAX_PARTS + 2)).can_be_replayed
