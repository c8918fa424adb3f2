"""A reader gets every entry of its streams, after lost answers and lost groups too."""

import asyncio
import time
from dataclasses import replace

import pytest
from tests.transports.redis.entries import (
    DEAD,
    STREAM,
    lost,
    pending,
    read_all,
    read_for,
)

from evmon import ConsumerConfig, Event, EventBus, RedisConfig, Reject, TransportError
from evmon._telemetry import instruments as i
from evmon._transports.base import Redelivery
from evmon._transports.redis.errors import BrokenError
from evmon._transports.redis.reader import FAILURE_SECONDS, SUSPECT_DELIVERIES


async def test_a_retry_is_not_late_however_long_reads_block(make):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    for _ in range(2):
        assert await t.read(10, 0.01) == []
    reading = asyncio.create_task(read_all(t, 1))
    await asyncio.sleep(0.1)
    started = time.monotonic()
    assert await t.settle(received, None, Redelivery(1, 1, ()))

    await reading
    assert 1 <= time.monotonic() - started < 1.85


async def test_an_answer_that_got_lost_is_read_again_as_the_same_delivery(make, client):
    t = await make()
    await t.publish([b"a", b"b"])
    client.xreadgroup("shop", t._consumer.name, {STREAM: ">"}, count=1)
    t._consumer.streams[0].recover_from = "-"  # as after any read that failed

    (again,) = await t.read(1, 0.01)
    assert (again.raw, again.deliveries) == (b"a", 1)
    assert [r.raw for r in await t.read(10, 0.01)] == [b"b"]
    assert await read_for(t, 0.05) == []


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
    assert sorted(int(r.raw) for r in entries) == list(range(20))


@pytest.mark.parametrize("how", ["flushall", "delete"])
async def test_a_deleted_stream_is_made_again(make, client, measured, how):
    t = await make()
    await t.publish([b"a"])
    assert len(await t.read(10, 0.01)) == 1
    client.flushall() if how == "flushall" else client.delete(STREAM)
    with pytest.raises(TransportError):
        await t.read(10, 0.01)
    assert t.problem == "the consumer group is gone"
    await t.publish([b"b"])

    (received,) = await read_all(t, 1)
    assert received.raw == b"b"
    assert t.problem == ""
    assert measured.total(i.GROUP_RECREATIONS) == 1


async def test_a_waiting_reader_notices_that_the_stream_is_gone(make, client):
    t = await make()
    reading = asyncio.create_task(t.read(10, 2))
    await asyncio.sleep(0.05)
    client.delete(STREAM)
    with pytest.raises(TransportError):
        await reading
    await t.publish([b"b"])

    assert len(await read_all(t, 1)) == 1


async def test_a_destroyed_group_reads_from_the_start_and_never_what_is_held(
    make, client, measured, caplog
):
    t = await make()
    await t.publish([b"done", b"held"])
    done, held = await t.read(10, 0.01)
    t.ack(done)
    await t.flush()
    client.xgroup_destroy(STREAM, "shop")
    with pytest.raises(TransportError):
        await t.read(10, 0.01)
    await t.publish([b"new"])

    entries = await read_all(t, 2)
    assert [r.raw for r in entries] == [b"done", b"new"]
    assert measured.total(i.GROUP_RECREATIONS) == 1
    assert "was missing and has been recreated" in caplog.text
    for received in (held, *entries):
        t.ack(received)
    await t.flush()
    assert pending(client) == 0


async def test_a_destroyed_group_is_made_again_while_every_slot_waits_to_be_settled(
    server, client
):
    started, gone, handled = asyncio.Event(), asyncio.Event(), set()

    async def handler(event: Event) -> None:
        started.set()
        await gone.wait()
        if event.data == 0:
            raise Reject
        handled.add(event.data)

    bus = EventBus(
        service="shop",
        transport=server.url,
        redis=RedisConfig(upkeep_interval=0.1),
        consumer=ConsumerConfig(max_concurrency=1),
    )
    bus.add_handler("a", handler)
    async with bus:
        await bus.publish_many([("a", 0), ("a", 1)])
        await started.wait()
        client.xgroup_destroy(STREAM, "shop")
        gone.set()
        await pytest.eventually(lambda: 1 in handled, 20)
        await pytest.eventually(lambda: client.xlen(DEAD) == 1)
        snapshot = bus._runtime.telemetry.snapshot()
        assert 1 == snapshot.total(i.GROUP_RECREATIONS)


async def test_the_bus_survives_a_flush_of_the_server(server, client, caplog):
    seen = []
    bus = EventBus(service="shop", transport=server.url)
    bus.add_handler("a", lambda e: seen.append(e.data))
    async with bus:
        await bus.publish("a", 1)
        await pytest.eventually(lambda: seen == [1])
        client.flushall()
        await pytest.eventually(lambda: client.exists(STREAM))
        await bus.publish("a", 2)
        await pytest.eventually(lambda: seen == [1, 2])
        snapshot = bus._runtime.telemetry.snapshot()
        assert snapshot.total(i.GROUP_RECREATIONS) == 1


async def test_what_was_trimmed_on_its_way_to_us_is_counted_as_lost(
    make, client, measured
):
    t = await make()
    await t.publish([b"a", b"b"])
    client.xreadgroup("shop", t._consumer.name, {STREAM: ">"})
    client.xtrim(STREAM, maxlen=0, approximate=False)
    t._consumer.streams[0].recover_from = "-"

    assert await read_for(t, 0.05) == []
    assert lost(measured) == 2
    assert pending(client) == 0


@pytest.mark.parametrize("count", [1, 2, 3, 7])
async def test_all_streams_together_give_no_more_than_asked_for(make, count):
    t = await make(streams=("x", "y"), stream_for=lambda kind: kind)
    kinds = ["x", "y", "z"] * 10
    await t.publish([b"a"] * 30, kinds)
    got = 0
    for _ in range(100):
        if got >= 30:
            break
        entries = await t.read(count, 0.005)
        assert len(entries) <= count
        got += len(entries)

    assert got == 30


async def test_of_several_streams_each_deleted_one_is_made_again(make, client):
    t = await make(streams=("x",), stream_for=lambda kind: kind)
    client.flushall()
    with pytest.raises(TransportError):
        await t.read(10, 0.01)
    await t.publish([b"a", b"b"], ["x", "other"])

    assert len(await read_all(t, 2)) == 2


@pytest.mark.parametrize("free", [1, 2, 3])
async def test_with_fewer_free_slots_than_streams_no_empty_stream_is_waited_for(
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

    assert time.monotonic() - started < 2.5


async def test_streams_take_turns(make):
    t = await make(streams=("a", "b"), stream_for=lambda kind: kind)
    await t.publish([b"x", b"y", b"z"] * 20, ["", "a", "b"] * 20)
    first = [(await t.read(1, 0.1))[0].raw for _ in range(12)]

    assert {4} == {first.count(raw) for raw in (b"x", b"y", b"z")}


async def test_a_promotion_that_fails_keeps_no_ack_from_being_sent_again(
    make, client, monkeypatch
):
    t = await make()
    await t.publish([b"a"])
    (entry,) = await read_all(t, 1)
    t.ack(entry)
    t._reader.retry_scheduled()
    t._reader._next_promotion = 0.0

    async def broken(*_):
        raise BrokenError("gone")

    monkeypatch.setattr(t._reader, "_try_promote", broken)
    with pytest.raises(BrokenError):
        await t.read(1, 0.01)
    monkeypatch.undo()
    await t.flush()

    assert pending(client) == 0


async def test_suspects_follow_each_other_without_waiting_for_events(make, client):
    silent = await make(lease=0.2)
    await silent.publish([b"x"] * 10)
    await read_all(silent, 10)
    for entry in client.xpending_range(STREAM, "shop", "-", "+", 10):
        client.xclaim(
            *(STREAM, "shop", silent._consumer.name, 0, [entry["message_id"]]),
            retrycount=SUSPECT_DELIVERIES - 1,
            idle=1000,
        )
    other = await make(lease=30)
    other._reader._consumer = replace(other._consumer, lease=0.2)
    started, taken = time.monotonic(), 0
    while taken < 10:
        for entry in await other.read(10, 0.1):
            other.ack(entry)
            taken += 1

    await other.flush()

    assert time.monotonic() - started < 4
    assert pending(client) == 0


async def test_a_failed_read_is_no_trouble_for_ever(make, monkeypatch):
    t = await make()

    async def refused(*_):
        raise TransportError("NOPERM")

    monkeypatch.setattr(t._reader, "_recover", refused)
    with pytest.raises(TransportError):
        await t.read(1, 0.01)
    assert t.problem == "reading fails: NOPERM"
    t._reader._failed_at -= FAILURE_SECONDS

    assert t.problem == ""
