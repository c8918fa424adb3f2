"""Entries removed from the pending entries list while they are handled."""

import asyncio

import pytest
from tests.transports.redis.entries import DEAD, REASON, RETRY, STREAM

from evmon._transports.base import Redelivery
from evmon._transports.redis.errors import BrokenError

ENDS = [
    pytest.param([REASON], id="dead-lettered"),
    pytest.param([Redelivery(60, 1, ())], id="scheduled"),
]


async def read_one(transport, raw=b"one"):
    """Publish an event and read it."""
    await transport.publish([raw])
    (received,) = await transport.read(10, 0.1)
    return received


def delete_consumers(client):
    for consumer in client.xinfo_consumers(STREAM, "shop"):
        client.xgroup_delconsumer(STREAM, "shop", consumer["name"])


def settled(client):
    return client.xlen(DEAD) + client.zcard(RETRY)


def lose_reply(transport, monkeypatch, calls):
    """Lose the reply to the last of the next `calls` scripts."""
    run = transport._client.eval
    left = iter(range(calls, -1, -1))

    async def run_and_lose(*script_call):
        reply = await run(*script_call)
        if next(left, None) == 1:
            raise BrokenError("connection lost")
        return reply

    monkeypatch.setattr(transport._client, "eval", run_and_lose)


@pytest.mark.parametrize("end", ENDS)
async def test_an_orphan_is_settled_once(make, client, caplog, end):
    transport = await make()
    received = await read_one(transport)
    delete_consumers(client)

    assert await transport.settle(received, end)

    assert not await transport.settle(received, end)
    assert 1 == settled(client)
    assert "DELCONSUMER" in caplog.text


@pytest.mark.parametrize("calls", [1, 2])
async def test_an_entry_is_settled_once_although_a_reply_was_lost(
    make, client, monkeypatch, calls
):
    transport = await make()
    received = await read_one(transport)
    if calls == 2:
        delete_consumers(client)
    lose_reply(transport, monkeypatch, calls)
    with pytest.raises(BrokenError):
        await transport.settle(received, [REASON])

    assert await transport.settle(received, [REASON])

    assert 1 == settled(client)


async def test_a_repeated_command_settles_an_orphan_once(make, client, monkeypatch):
    transport = await make()
    received = await read_one(transport)
    delete_consumers(client)
    run = transport._client.eval
    sent = []

    async def recorded(*script_call):
        sent.append(script_call)
        return await run(*script_call)

    monkeypatch.setattr(transport._client, "eval", recorded)
    await transport.settle(received, [REASON])
    for script_call in sent:
        await run(*script_call)

    assert 2 == len(sent)
    assert 1 == settled(client)


async def test_an_entry_whose_settlement_was_cancelled_is_not_released_again(
    make, client, monkeypatch
):
    transport = await make()
    received = await read_one(transport)
    run = transport._client.eval

    async def stuck(*script_call):
        await run(*script_call)
        await asyncio.Event().wait()

    monkeypatch.setattr(transport._client, "eval", stuck)
    settling = asyncio.create_task(transport.settle(received, [REASON]))
    while not settled(client):
        await asyncio.sleep(0.01)
    settling.cancel()
    await asyncio.gather(settling, return_exceptions=True)
    monkeypatch.setattr(transport._client, "eval", run)

    await transport.release([received])

    assert 0 == client.xpending(STREAM, "shop")["pending"]


async def test_an_entry_that_another_consumer_finished_is_not_settled(
    make, client, caplog
):
    one, other = await make(lease=0.1), await make(lease=0.1)
    received = await read_one(one)
    await asyncio.sleep(0.15)
    (reclaimed,) = await other.read(10, 0.1)
    other.ack(reclaimed)
    await other.flush()

    assert not await one.settle(received, [REASON])

    assert 0 == settled(client)
    assert "DELCONSUMER" not in caplog.text


async def test_a_renewal_drops_an_entry_that_another_consumer_finished(make):
    one, other = await make(lease=0.1), await make(lease=0.1)
    lost = []
    one.watch(lost.append)
    received = await read_one(one)
    await asyncio.sleep(0.15)
    (reclaimed,) = await other.read(10, 0.1)
    other.ack(reclaimed)
    await other.flush()

    await one._leases.renew()

    assert [received] == lost


async def test_an_entry_reclaimed_back_can_be_settled_as_an_orphan(make, client):
    one, other = await make(lease=0.1), await make(lease=0.1)
    await read_one(one)
    await asyncio.sleep(0.15)
    (reclaimed,) = await other.read(10, 0.1)
    await one._leases.renew()
    await other.release([reclaimed])
    (reclaimed_back,) = await one.read(10, 0.1)
    delete_consumers(client)

    assert await one.settle(reclaimed_back, [REASON])

    assert 1 == settled(client)


async def test_an_entry_that_a_recreated_group_will_deliver_is_no_orphan(make, client):
    transport = await make()
    received = await read_one(transport)
    client.xgroup_destroy(STREAM, "shop")
    client.xgroup_create(STREAM, "shop", "0")

    assert not await transport.settle(received, [REASON])

    assert 0 == settled(client)
    assert [b"one"] == [r.raw for r in await transport.read(10, 0.1)]


async def test_a_released_orphan_is_redelivered(make, client):
    one, other = await make(), await make()
    received = await read_one(one)
    delete_consumers(client)

    await one.release([received])

    assert [b"one"] == [r.raw for r in await other.read(10, 0.1)]


async def test_a_trimmed_orphan_that_is_released_is_counted_as_lost(
    make, client, caplog
):
    transport = await make()
    received = await read_one(transport)
    delete_consumers(client)
    client.xtrim(STREAM, maxlen=0)

    await transport.release([received])

    assert "lost 1 events: trimmed from the stream before" in caplog.text
    assert 0 == client.xpending(STREAM, "shop")["pending"]
