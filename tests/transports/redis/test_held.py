"""What is done is acked, soon and surely, and never taken for something new."""

import asyncio

import pytest
from tests.transports.redis.entries import STREAM, WHY, pending
from tests.waiting import eventually

from evmon import TransportError
from evmon._transports.redis.errors import BrokenError


async def test_acks_leave_with_flush(make, client):
    t = await make()
    await t.publish([b"a"] * 5)
    for received in await t.read(10, 0.01):
        t.ack(received)
    assert 5 == pending(client)
    await t.flush()

    assert 0 == pending(client)
    assert 5 == client.xlen(STREAM)


async def test_acks_leave_with_the_next_read(make, client):
    t = await make()
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])
    await t.read(10, 0.01)

    assert 0 == pending(client)


async def test_acks_leave_by_themselves(make, running, client):
    t = await make()
    running(t)
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])

    await eventually(lambda: pending(client) == 0)


async def test_acks_that_did_not_arrive_are_sent_again(make, client, monkeypatch):
    t = await make()
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])
    with monkeypatch.context() as broken:
        broken.setattr(t._client, "call", _break)
        with pytest.raises(TransportError):
            await t.flush()
    assert [] == await t.read(10, 0.01)

    assert 0 == pending(client)


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

    await eventually(lambda: pending(client) == 0)


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
    t._inboxes[0].recovering = None if silence else "-"
    call, asked, overtaken = t._reading_client.call, asyncio.Event(), asyncio.Event()

    async def answer_late(*command):
        reply = await call(*command)
        asked.set()
        await overtaken.wait()
        return reply

    monkeypatch.setattr(t._reading_client, "call", answer_late)
    reading = asyncio.create_task(t.read(10, 0.01))
    await asked.wait()
    t.ack(acked)
    await t.flush()
    assert await t.settle(settled, WHY, None)
    await t.release([released])
    overtaken.set()

    assert [] == await reading
