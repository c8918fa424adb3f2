"""A reader delivers every entry of its streams, also after lost replies."""

import asyncio
import time
from dataclasses import replace

import pytest
from tests.transports.redis.entries import (
    STREAM,
    lost,
    pending,
    read_all,
    read_for,
)

from evmon import (
    TransportError,
)
from evmon._transports.base import Redelivery
from evmon._transports.redis.errors import BrokenError
from evmon._transports.redis.reader import FAILURE_SECONDS, SUSPECT_DELIVERIES


async def test_a_retry_is_on_time_although_reads_block(make):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    for _ in range(2):
        assert [] == await t.read(10, 0.01)
    reading = asyncio.create_task(read_all(t, 1))
    await asyncio.sleep(0.1)
    started = time.monotonic()
    assert await t.settle(received, [Redelivery(1, 1, ())])

    await reading
    assert 1 <= time.monotonic() - started < 1.85


async def test_an_entry_whose_delivery_was_lost_is_recovered_as_the_same_delivery(
    make, client
):
    t = await make()
    await t.publish([b"a", b"b"])
    client.xreadgroup("shop", t._consumer.name, {STREAM: ">"}, count=1)
    t._consumer.streams[0].recover_from = "-"  # as after a failed read

    (recovered,) = await t.read(1, 0.01)
    assert (b"a", 1) == (recovered.raw, recovered.deliveries)
    assert [b"b"] == [r.raw for r in await t.read(10, 0.01)]
    assert [] == await read_for(t, 0.05)


async def test_a_cancelled_read_loses_nothing(make):
    t = await make()
    for n in range(20):
        reading = asyncio.create_task(t.read(10, 1))
        await asyncio.sleep(0.002 * (n % 4))
        publishing = asyncio.create_task(t.publish([b"%d" % n]))
        await asyncio.sleep(0.0005 * (n % 5))
        reading.cancel()
        for received in (await asyncio.gather(reading, return_exceptions=True))[:1]:
            if isinstance(received, list):
                t._consumer.streams[0].entries.clear()
                t._consumer.streams[0].recover_from = "-"
        await publishing

    entries = await read_all(t, 20)
    assert list(range(20)) == sorted(int(r.raw) for r in entries)


async def test_entries_trimmed_after_a_lost_delivery_are_counted_as_lost(
    make, client, measured
):
    t = await make()
    await t.publish([b"a", b"b"])
    client.xreadgroup("shop", t._consumer.name, {STREAM: ">"})
    client.xtrim(STREAM, maxlen=0, approximate=False)
    t._consumer.streams[0].recover_from = "-"

    assert [] == await read_for(t, 0.05)
    assert 2 == lost(measured)
    assert 0 == pending(client)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
async def test_a_read_of_several_streams_returns_at_most_max_count(make, count):
    t = await make(streams=("x", "y"), stream_for=lambda kind: kind)
    kinds = ["x", "y", "z"] * 10
    await t.publish([b"a"] * 30, kinds)
    count_read = 0
    for _ in range(100):
        if count_read >= 30:
            break
        entries = await t.read(count, 0.005)
        assert len(entries) <= count
        count_read += len(entries)

    assert 30 == count_read


@pytest.mark.parametrize("free", [1, 2, 3])
async def test_a_read_of_fewer_entries_than_streams_does_not_block_on_an_empty_one(
    make, free
):
    names = ("a", "b", "c")
    t = await make(streams=names, stream_for=lambda kind: kind)
    await t.publish([b"x"] * 30, ["c"] * 30)
    started = time.monotonic()
    entries = []
    while len(entries) < 30:
        read = await t.read(free, 5.0)
        assert len(read) <= free
        entries += read

    assert 2.5 > time.monotonic() - started


async def test_streams_are_read_in_turns(make):
    t = await make(streams=("a", "b"), stream_for=lambda kind: kind)
    await t.publish([b"x", b"y", b"z"] * 20, ["", "a", "b"] * 20)
    first = [(await t.read(1, 0.1))[0].raw for _ in range(12)]

    assert {4} == {first.count(raw) for raw in (b"x", b"y", b"z")}


async def test_acks_are_not_lost_when_a_promotion_fails(make, client, monkeypatch):
    t = await make()
    await t.publish([b"a"])
    (entry,) = await read_all(t, 1)
    t.ack(entry)
    t._reader.retry_scheduled()
    t._reader._next_promotion = 0.0

    async def broken(*_):
        raise BrokenError("connection lost")

    monkeypatch.setattr(t._reader, "_try_promote", broken)
    with pytest.raises(BrokenError):
        await t.read(1, 0.01)
    monkeypatch.undo()
    await t.flush()

    assert 0 == pending(client)


async def test_suspects_are_reclaimed_one_after_another_without_delay(make, client):
    idle = await make(lease=0.2)
    await idle.publish([b"x"] * 10)
    await read_all(idle, 10)
    for entry in client.xpending_range(STREAM, "shop", "-", "+", 10):
        client.xclaim(
            *(STREAM, "shop", idle._consumer.name, 0, [entry["message_id"]]),
            retrycount=SUSPECT_DELIVERIES - 1,
            idle=1000,
        )
    other = await make(lease=30)
    other._reader._consumer = replace(other._consumer, lease=0.2)
    started, reclaimed = time.monotonic(), 0
    while reclaimed < 10:
        for entry in await other.read(10, 0.1):
            other.ack(entry)
            reclaimed += 1

    await other.flush()

    assert 4 > time.monotonic() - started
    assert 0 == pending(client)


async def test_a_failed_read_is_a_problem_for_a_limited_time(make, monkeypatch):
    t = await make()

    async def refused(*_):
        raise TransportError("NOPERM")

    monkeypatch.setattr(t._reader, "_recover", refused)
    with pytest.raises(TransportError):
        await t.read(1, 0.01)
    assert "reading fails: NOPERM" == t.problem
    t._reader._failed_at -= FAILURE_SECONDS

    assert "" == t.problem
