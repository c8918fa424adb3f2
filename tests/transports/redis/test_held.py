"""Acknowledgements are sent soon; ended entries are not delivered again."""

import asyncio

import pytest
from tests.transports.redis.entries import (
    REASON,
    STREAM,
    pending,
)
from tests.waiting import eventually

from evmon import (
    TransportError,
)
from evmon._transports.redis.errors import BrokenError


async def test_flush_sends_acks(make, client):
    t = await make()
    await t.publish([b"a"] * 5)
    for received in await t.read(10, 0.01):
        t.ack(received)
    assert 5 == pending(client)
    await t.flush()

    assert 0 == pending(client)
    assert 5 == client.xlen(STREAM)


async def test_the_next_read_sends_acks(make, client):
    t = await make()
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])
    await t.read(10, 0.01)

    assert 0 == pending(client)


async def test_a_running_transport_sends_acks_without_a_read(make, running, client):
    t = await make()
    running(t)
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])

    await eventually(lambda: pending(client) == 0)


async def test_the_next_read_resends_acks_that_failed(make, client, monkeypatch):
    t = await make()
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])
    with monkeypatch.context() as broken:
        broken.setattr(t._client, "call", _fail)
        with pytest.raises(TransportError):
            await t.flush()
    assert [] == await t.read(10, 0.01)

    assert 0 == pending(client)


async def test_a_running_transport_resends_acks_that_failed(
    make, running, client, monkeypatch
):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    with monkeypatch.context() as broken:
        broken.setattr(t, "flush", _fail)
        running(t)
        t.ack(received)
        await asyncio.sleep(0.1)
    assert 1 == pending(client)

    await eventually(lambda: pending(client) == 0)


async def _fail(*_):
    raise BrokenError("connection lost")


@pytest.mark.parametrize("idle", [0, 0.15])
async def test_an_entry_that_ends_while_pending_ones_are_listed_is_not_redelivered(
    make, monkeypatch, idle
):
    t = await make(lease=0.1 if idle else 30)
    await t.publish([b"a", b"b", b"c"])
    acked, settled, released = await t.read(10, 0.01)
    await asyncio.sleep(idle)  # past the lease: the consumer reclaims its own entries
    t._consumer.streams[0].recover_from = None if idle else "-"
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
    assert await t.settle(settled, [REASON])
    await t.release([released])
    ended.set()

    assert [] == await reading
