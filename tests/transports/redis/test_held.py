"""What is done is acked, soon and surely, and never taken for something new."""

import asyncio

import pytest
from tests.transports.redis.entries import STREAM, WHY, pending

from evmon import TransportError
from evmon._transports.redis.errors import BrokenError


async def test_acks_leave_with_flush(make, client):
    t = await make()
    await t.publish([b"a"] * 5)
    for received in await t.read(10, 0.01):
        t.ack(received)
    assert pending(client) == 5
    await t.flush()

    assert pending(client) == 0
    assert client.xlen(STREAM) == 5


async def test_acks_leave_with_the_next_read(make, client):
    t = await make()
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])
    await t.read(10, 0.01)

    assert pending(client) == 0


async def test_acks_leave_by_themselves(make, running, client):
    t = await make()
    running(t)
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])

    await pytest.eventually(lambda: pending(client) == 0)


async def test_acks_that_did_not_arrive_are_sent_again(make, client, monkeypatch):
    t = await make()
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])
    with monkeypatch.context() as broken:
        broken.setattr(t._client, "call", _break)
        with pytest.raises(TransportError):
            await t.flush()
    assert await t.read(10, 0.01) == []

    assert pending(client) == 0


async def test_acks_that_did_not_arrive_are_sent_again_without_a_read(
    make, running, client, monkeypatch
):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    with monkeypatch.context() as broken:
        broken.setattr(t, "flush", _break)
        running(t)
        t.ack(received)
        await asyncio.sleep(0.1)
    assert 1 == pending(client)

    await pytest.eventually(lambda: pending(client) == 0)


async def _break(*_):
    raise BrokenError("gone")


@pytest.mark.parametrize("silence", [0, 0.15])
async def test_what_ends_while_an_answer_about_it_is_on_its_way_is_not_taken_again(
    make, monkeypatch, silence
):
    t = await make(lease=0.1 if silence else 30)
    await t.publish([b"a", b"b", b"c"])
    acked, settled, released = await t.read(10, 0.01)
    await asyncio.sleep(silence)  # longer than the lease: they are reclaimed, from us
    t._consumer.streams[0].recover_from = None if silence else "-"
    run, listed, ended = t._reading_client.eval, asyncio.Event(), asyncio.Event()

    async def late(*script_call):
        reply = await run(*script_call)
        listed.set()
        await ended.wait()
        return reply

    monkeypatch.setattr(t._reading_client, "eval", late)
    reading = asyncio.create_task(t.read(10, 0.01))
    await listed.wait()
    t.ack(acked)
    await t.flush()
    assert await t.settle(settled, WHY, None)
    await t.release([released])
    ended.set()

    assert [] == await reading
