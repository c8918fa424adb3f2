"""Leases of held entries are renewed, and unfinished entries are released."""

import asyncio

import pytest
from tests.transports.redis.entries import (
    DEAD,
    REASON,
    RETRY,
    STREAM,
    lost,
    owners,
    pending,
    read_all,
    read_for,
)

from evmon import Event, EventBus, RedisConfig, TransportError
from evmon._telemetry import instruments as i
from evmon._transports.base import Redelivery


async def test_released_entries_are_reclaimed_at_once(make, client, measured):
    one, two = await make(), await make()
    await one.publish([b"a", b"b"])
    entries = await one.read(10, 0.01)
    await one.release(entries)

    reclaimed = await two.read(10, 0.01)
    assert [(b"a", 2), (b"b", 2)] == [(r.raw, r.deliveries) for r in reclaimed]
    assert {two._consumer.name} == owners(client)
    assert [] == await read_for(one, 0.05)
    assert 0 == measured.total(i.LEASE_LOSSES)


async def test_a_reclaimed_entry_is_not_released(make, client):
    one, two = await make(), await make(lease=0.1)
    await one.publish([b"a"])
    entries = await one.read(10, 0.01)
    await asyncio.sleep(0.12)
    await read_all(two, 1)
    await one.release(entries)

    assert {two._consumer.name} == owners(client)


async def test_entries_with_renewed_leases_are_not_reclaimed(make, running, measured):
    one, two = await make(lease=0.15), await make(lease=0.15)
    running(one)
    await one.publish([b"a"])
    await one.read(10, 0.01)

    assert [] == await read_for(two, 0.5)
    assert 0 == measured.total(i.LEASE_LOSSES)


async def test_a_renewal_does_not_claim_back_a_reclaimed_entry(make, client, measured):
    one, two = await make(lease=0.1), await make(lease=0.1)
    lost_entries = []
    one.watch(lost_entries.append)
    await one.publish([b"a"])
    (received,) = await one.read(10, 0.01)
    await asyncio.sleep(0.12)
    (reclaimed,) = await read_all(two, 1)
    await one._leases.renew()

    assert [received] == lost_entries
    assert {two._consumer.name} == owners(client)
    assert 1 == measured.total(i.LEASE_LOSSES)
    one.ack(received)
    await one.flush()
    assert 1 == pending(client), "another consumer's entry was acked"
    assert await one.settle(received, [REASON]) is False
    assert 0 == client.xlen(DEAD)
    assert await two.settle(reclaimed, [REASON]) is True


async def test_leases_of_other_streams_are_renewed_if_one_stream_fails(make, client):
    t = await make(streams=("x",), stream_for=lambda kind: kind)
    await t.publish([b"a", b"b"], ["other", "x"])
    await read_all(t, 2)
    client.set(STREAM, "no stream")
    await asyncio.sleep(0.1)
    with pytest.raises(TransportError, match="WRONGTYPE"):
        await t._leases.renew()

    (entry,) = client.xpending_range(f"{STREAM}:x", "shop", "-", "+", 10)
    assert 90 > entry["time_since_delivered"]
    client.delete(STREAM)


async def test_a_handler_whose_event_was_reclaimed_is_cancelled(server, client):
    cancelled = asyncio.Event()
    started = asyncio.Event()

    async def hang(event: Event) -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    bus = EventBus(service="shop", transport=server.url, redis=RedisConfig(lease=0.4))
    bus.add_handler("a", hang)
    async with bus:
        await bus.publish("a")
        await asyncio.wait_for(started.wait(), 5)
        (entry,) = client.xpending_range(STREAM, "shop", "-", "+", 10)
        client.xclaim(STREAM, "shop", "other", 0, [entry["message_id"]])
        await asyncio.wait_for(cancelled.wait(), 5)

    assert {"other"} == owners(client)


async def test_an_entry_trimmed_and_then_acknowledged_is_not_lost(
    make, client, measured
):
    t = await make(lease=0.1)
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    client.xtrim(STREAM, maxlen=0, approximate=False)
    await t._leases.renew()
    t._consumer.streams[0].recover_from = "-"
    assert [] == await t.read(10, 0.01)
    t.ack(received)
    await t.flush()

    assert 0 == pending(client)
    assert 0 == lost(measured)


@pytest.mark.parametrize("end", [[REASON], [Redelivery(0, 1, ())]])
async def test_an_entry_that_fails_after_it_was_trimmed_is_settled_once(
    make, client, measured, caplog, end
):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    client.xtrim(STREAM, maxlen=0, approximate=False)
    for _ in range(2):
        await t._leases.renew()

    (record,) = caplog.records
    assert record.getMessage().startswith("1 events were trimmed from the stream")
    assert [received.id] == record.entry_ids
    assert await t.settle(received, end) is True
    assert await t.settle(received, end) is False
    assert 1 == client.xlen(DEAD) + client.zcard(RETRY)
    assert 0 == lost(measured)


@pytest.mark.parametrize("renewals", [0, 1])
async def test_a_trimmed_entry_that_is_released_is_counted_as_lost_once(
    make, client, measured, renewals
):
    t = await make()
    await t.publish([b"a", b"b"])
    entries = await t.read(10, 0.01)
    client.xtrim(STREAM, maxlen=1, approximate=False)
    for _ in range(renewals):
        await t._leases.renew()
    await t.release(entries)
    await t.release(entries)

    assert 1 == lost(measured)
    assert 1 == pending(client)


async def test_an_orderly_stop_does_not_count_as_a_delivery(make):
    deliveries = []
    publisher = await make()
    await publisher.publish([b"a"])
    for _ in range(4):
        t = await make()
        (entry,) = await read_all(t, 1)
        deliveries.append(entry.deliveries)
        await t.release([entry])

    assert [1, 2, 2, 2] == deliveries
