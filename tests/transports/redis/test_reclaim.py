"""Which entries a consumer reclaims from another one."""

import asyncio

from tests.transports.redis.entries import (
    DEAD,
    REASON,
    STREAM,
    an_event,
    lost,
    pending,
    read_all,
    read_for,
)
from tests.waiting import eventually

from evmon import EventBus, RedisConfig
from evmon._telemetry import instruments as i
from evmon._transports.redis.reader import SUSPECT_DELIVERIES

EVENTS = [b"one", b"two", b"three"]


async def test_trimmed_entries_of_an_active_consumer_are_not_reclaimed(
    make, client, caplog
):
    one, other = await make(lease=30), await make(lease=30)
    await one.publish(EVENTS)
    assert 3 == len(await one.read(10, 0.1))
    client.xtrim(STREAM, maxlen=0)

    assert [] == await other.read(10, 0.01)

    assert 3 == client.xpending(STREAM, "shop")["pending"]
    assert "lost" not in caplog.text


async def test_trimmed_entries_of_an_idle_consumer_are_logged_as_lost(
    make, client, caplog
):
    one, other = await make(lease=0.1), await make(lease=0.1)
    await one.publish(EVENTS)
    await one.read(10, 0.1)
    client.xtrim(STREAM, maxlen=1, approximate=False)
    await asyncio.sleep(0.15)

    assert [b"three"] == [received.raw for received in await other.read(10, 0.01)]

    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert record.getMessage().startswith("lost 2 events: trimmed")
    assert (2, 2) == (record.event_count, len(record.entry_ids))
    assert 1 == client.xpending(STREAM, "shop")["pending"]


async def test_a_trimmed_entry_with_an_expired_lease_can_still_be_settled(
    make, client, caplog
):
    one = await make(lease=0.1)
    await one.publish([b"one"])
    (received,) = await one.read(10, 0.1)
    client.xtrim(STREAM, maxlen=0)
    await asyncio.sleep(0.15)

    assert [] == await one.read(10, 0.01)

    assert await one.settle(received, [REASON])
    assert 1 == client.xlen(DEAD)
    assert "lost" not in caplog.text


async def test_all_entries_of_an_idle_consumer_are_reclaimed_page_by_page(make):
    one, other = await make(lease=0.1), await make(lease=0.1)
    await one.publish(EVENTS)
    await one.read(10, 0.1)
    await asyncio.sleep(0.15)

    pages = [await other.read(2, 0.01), await other.read(2, 0.01)]

    assert [EVENTS[:2], EVENTS[2:]] == [[r.raw for r in page] for page in pages]
    assert [2, 2, 2] == [r.deliveries for page in pages for r in page]


async def test_reclaimed_entries_are_counted_as_redeliveries(make, client, measured):
    one, two = await make(lease=0.1), await make(lease=0.1)
    await one.publish([b"a", b"b"])
    await one.read(10, 0.01)
    assert [] == await two.read(10, 0.01)
    await asyncio.sleep(0.12)

    reclaimed = await read_all(two, 2)
    assert {2} == {r.deliveries for r in reclaimed}
    assert 2 == measured.total(i.REDELIVERIES)
    assert 2 == measured.total(i.RECLAIMS)


async def test_at_most_max_count_entries_are_reclaimed_at_once(make, client):
    one, two = await make(lease=0.1), await make(lease=0.1)
    await one.publish([b"%d" % n for n in range(10)])
    await one.read(10, 0.01)
    await asyncio.sleep(0.12)

    reclaimed = []
    while len(reclaimed) < 10:
        entries = await two.read(3, 0.02)
        assert 3 >= len(entries)
        reclaimed += entries
        await two._leases.renew()
    assert [b"%d" % n for n in range(10)] == sorted(r.raw for r in reclaimed)


async def test_entries_trimmed_while_pending_are_counted_as_lost(
    make, client, measured
):
    one, two = await make(lease=0.1), await make(lease=0.1)
    await one.publish([b"a", b"b", b"c"])
    await one.read(10, 0.01)
    client.xtrim(STREAM, maxlen=1, approximate=False)
    await asyncio.sleep(0.12)

    (reclaimed,) = await read_all(two, 1)
    assert b"c" == reclaimed.raw
    assert [] == await read_for(two, 0.1)
    assert 2 == lost(measured)
    assert 1 == pending(client)


async def test_entries_of_a_crashed_process_are_handled_by_another(server, client):
    seen = []
    redis = RedisConfig(lease=0.2)
    client.xgroup_create(STREAM, "shop", "0", mkstream=True)
    for _ in range(20):
        client.xadd(STREAM, {"event": an_event()})
    client.xreadgroup("shop", "crashed", {STREAM: ">"}, count=10)
    bus = EventBus(service="shop", transport=server.url, redis=redis)
    bus.add_handler("a", seen.append)
    async with bus:
        await eventually(lambda: len(seen) == 20)
        await eventually(lambda: pending(client) == 0)


async def test_a_consumer_holds_one_suspect_at_a_time(make, client):
    idle = await make(lease=0.2)
    await idle.publish([str(n).encode() for n in range(4)])
    await read_all(idle, 4)
    for entry in client.xpending_range(STREAM, "shop", "-", "+", 10)[:3]:
        client.xclaim(
            *(STREAM, "shop", idle._consumer.name, 0, [entry["message_id"]]),
            retrycount=SUSPECT_DELIVERIES - 1,
            idle=1000,
        )
    await asyncio.sleep(0.25)
    other = await make(lease=0.2)
    reclaimed = await read_for(other, 0.3)
    assert [(b"0", SUSPECT_DELIVERIES), (b"3", 2)] == sorted(
        (r.raw, r.deliveries) for r in reclaimed
    )

    other.ack(next(r for r in reclaimed if r.raw == b"0"))
    await other.flush()
    (suspect,) = await read_for(other, 0.2)
    assert (b"1", SUSPECT_DELIVERIES) == (suspect.raw, suspect.deliveries)
    (left,) = client.xpending_range(STREAM, "shop", "-", "+", 10, idle._consumer.name)
    assert SUSPECT_DELIVERIES - 1 == left["times_delivered"]


async def test_the_set_of_entries_reclaimed_from_a_consumer_is_bounded(
    make, client, monkeypatch
):
    monkeypatch.setattr("evmon._transports.redis.reader.MAX_MARKS", 10)
    t = await make(lease=0.1)
    await t.publish([b"a"] * 50)
    client.xreadgroup("shop", "dead", {STREAM: ">"})

    await read_all(t, 50)

    (key,) = client.keys("*:reclaimed:dead")
    assert 11 == client.scard(key)


async def test_an_entry_left_out_of_a_full_set_is_settled_once(
    make, client, monkeypatch
):
    monkeypatch.setattr("evmon._transports.redis.reader.MAX_MARKS", 1)
    one, two = await make(lease=0.1), await make(lease=0.1)
    await one.publish([b"a"] * 3)
    held = await read_all(one, 3)
    for received in await read_all(two, 3):
        assert await two.settle(received, [REASON])

    for received in held:
        assert not await one.settle(received, [REASON])
    assert 3 == client.xlen(DEAD)
