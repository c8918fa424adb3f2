"""Maintenance measures, counts lost entries, deletes idle consumers and trims."""

import contextlib

import pytest
from tests.transports.redis.entries import (
    REASON,
    STREAM,
    add_old_entries,
    lost,
    read_all,
    read_for,
)

from evmon import RedisConfig, TransportError
from evmon._telemetry import instruments as i
from evmon._telemetry.provider import Telemetry
from evmon._telemetry.transport_recorder import TransportRecorder
from evmon._transports.base import Redelivery
from evmon._transports.redis import RedisTransport


async def test_entries_trimmed_unread_are_counted_as_lost_once(make, client, measured):
    one, two = await make(), await make()
    await one.publish([b"%d" % n for n in range(10)])
    for received in await one.read(2, 0.01):
        one.ack(received)
    await one.flush()
    client.xtrim(STREAM, maxlen=3, approximate=False)
    await one._maintenance.run_once()
    await two._maintenance.run_once()

    assert 5 == lost(measured)
    assert 3 == measured.total(i.CONSUMER_LAG)
    assert [b"7", b"8", b"9"] == [r.raw for r in await read_all(two, 3)]
    await one._maintenance.run_once()
    assert 5 == lost(measured)


async def test_entries_trimmed_before_the_first_read_are_counted_as_lost(
    make, client, measured
):
    t = await make()
    await t.publish([b"%d" % n for n in range(10)])
    client.xtrim(STREAM, maxlen=4, approximate=False)
    await t._maintenance.run_once()

    assert 6 == lost(measured)
    assert 4 == measured.total(i.CONSUMER_LAG)


async def test_entries_trimmed_before_the_group_was_created_are_not_lost(
    make, client, measured
):
    one = await make(group="one")
    await one.publish([b"%d" % n for n in range(10)])
    for received in await read_all(one, 10):
        one.ack(received)
    await one.flush()
    client.xtrim(STREAM, maxlen=4, approximate=False)
    two = await make(group="two")
    await two._maintenance.run_once()

    assert 0 == lost(measured)
    assert 4 == len(await read_all(two, 4))
    await two._maintenance.run_once()
    assert 0 == lost(measured) == measured.total(i.CONSUMER_LAG)


async def test_a_stream_trimmed_to_nothing_counts_unread_entries_as_lost(
    make, client, measured
):
    t = await make()
    await t.publish([b"a"] * 5)
    t.ack((await t.read(1, 0.01))[0])
    client.xtrim(STREAM, maxlen=0, approximate=False)
    await t._maintenance.run_once()

    assert 4 == lost(measured)
    assert 0 == measured.total(i.CONSUMER_LAG)


async def test_finished_entries_that_are_trimmed_are_not_lost(make, client, measured):
    t = await make()
    await t.publish([b"a"] * 5)
    for received in await t.read(10, 0.01):
        t.ack(received)
    await t.flush()
    client.xtrim(STREAM, maxlen=0, approximate=False)
    await t._maintenance.run_once()

    assert 0 == lost(measured)


async def test_an_unknown_lag_has_no_sample(server, client):
    telemetry = Telemetry("shop")
    recorder = TransportRecorder(telemetry.meter, "shop", "shop")
    t = RedisTransport(server.url, "shop", recorder=recorder)
    await t.open()
    await t.publish([b"%d" % n for n in range(6)])
    await t.read(1, 0.01)
    await t._maintenance.run_once()
    assert 5 == telemetry.snapshot().total(i.CONSUMER_LAG)
    assert 1 == telemetry.snapshot().total(i.CONSUMER_LAG_KNOWN)
    client.xdel(STREAM, client.xrange(STREAM)[2][0])
    await t._maintenance.run_once()

    assert not telemetry.snapshot().has(i.CONSUMER_LAG)
    assert 0 == telemetry.snapshot().total(i.CONSUMER_LAG_KNOWN)
    await t.close()
    telemetry.shutdown()


async def test_an_unknown_lag_logs_nothing_with_the_applications_own_provider(
    make, client, measured, caplog
):
    t = await make()
    await t.publish([b"%d" % n for n in range(6)])
    await t.read(1, 0.01)
    client.xdel(STREAM, client.xrange(STREAM)[2][0])
    await t._maintenance.run_once()

    assert not measured.snapshot.has(i.CONSUMER_LAG)
    assert 0 == measured.total(i.CONSUMER_LAG_KNOWN)
    assert "" == caplog.text


async def test_maintenance_records_lengths_and_ages(make, client, measured):
    t = await make()
    await t.publish([b"%d" % n for n in range(10)])
    one, two, three, _ = await t.read(4, 0.01)
    await t.settle(one, [REASON])
    await t.settle(two, [Redelivery(60, 1, ())])
    t.ack(three)
    await t.flush()
    await t._maintenance.run_once()

    shown = {
        i.STREAM_LENGTH: 10,
        i.CONSUMER_LAG: 6,
        i.CONSUMER_PENDING: 1,
        i.DEAD_LETTER_QUEUE_SIZE: 1,
        i.RETRY_SCHEDULE_SIZE: 1,
    }
    assert shown == {instrument: measured.total(instrument) for instrument in shown}
    for age in (i.CONSUMER_PENDING_AGE, i.CONSUMER_UNREAD_AGE, i.DEAD_LETTER_QUEUE_AGE):
        assert 0 <= measured.total(age) < 30


async def test_maintenance_deletes_only_long_idle_consumers_without_pending_entries(
    make, client, monkeypatch
):
    t = await make()
    await t.publish([b"a"])
    client.xreadgroup("shop", "holds", {STREAM: ">"})
    client.xgroup_createconsumer(STREAM, "shop", "empty")
    await t._maintenance.run_once()
    names = {c["name"] for c in client.xinfo_consumers(STREAM, "shop")}
    assert {"holds", "empty"} <= names

    monkeypatch.setattr("evmon._transports.redis.maintenance.FORGET_AFTER", 0)
    await t._maintenance.run_once()
    assert ["holds"] == [c["name"] for c in client.xinfo_consumers(STREAM, "shop")]


async def test_retention_trims_only_entries_that_every_group_finished(make, client):
    one = await make(group="one", retention=0.0)
    two = await make(group="two", retention=0.0)
    add_old_entries(client, range(1, 351))
    entries = []
    while len(entries) < 250:
        entries += await one.read(250 - len(entries), 0.01)
    for received in entries[:200]:
        one.ack(received)
    await one.flush()

    await one._maintenance.run_once()
    assert 350 == client.xlen(STREAM), "the other group has read nothing"
    for received in await read_all(two, 350):
        two.ack(received)
    await two.flush()
    await one._maintenance.run_once()

    left = [fields["event"] for _, fields in client.xrange(STREAM)]
    assert 350 > len(left)
    assert [str(n) for n in range(201, 351)] == left[-150:]


async def test_retention_keeps_recent_entries(make, client):
    t = await make(retention=3600.0)
    await t.publish([b"a"] * 300)
    for received in await read_all(t, 300):
        t.ack(received)
    await t.flush()
    await t._maintenance.run_once()

    assert 300 == client.xlen(STREAM)


async def test_without_retention_nothing_is_trimmed(make, client):
    t = await make()
    add_old_entries(client, range(1, 301))
    for received in await read_all(t, 300):
        t.ack(received)
    await t.flush()
    await t._maintenance.run_once()

    assert 300 == client.xlen(STREAM)


async def test_a_restart_of_the_server_loses_nothing_and_reports_nothing_lost(
    own_server, measured
):
    server = own_server()
    recorder = TransportRecorder(measured.meter, "shop", "shop")
    t = RedisTransport(server.url, "shop", "", RedisConfig(), recorder)
    await t.open()
    await t.publish([b"a"] * 100)
    for entry in await read_all(t, 100):
        t.ack(entry)
    await t.flush()
    await t._maintenance.run_once()
    server.restart()
    with contextlib.suppress(TransportError):
        await t.read(1, 0.01)
    await t.publish([b"b"] * 10)
    await t._maintenance.run_once()
    for entry in await read_all(t, 10):
        t.ack(entry)
    await t.flush()
    await t._maintenance.run_once()
    assert 0 == lost(measured)
    assert 1 == measured.total(i.CONSUMER_LAG_KNOWN)
    assert 0 == measured.total(i.CONSUMER_LAG)

    # From now on trimmed entries are counted again.
    await t.publish([b"c"] * 10)
    with server.client() as client:
        client.xtrim(STREAM, maxlen=4, approximate=False)
    await t._maintenance.run_once()
    await t.close()
    assert 6 == lost(measured)


async def test_a_server_without_memory_still_reads_and_trims(make, client):
    t = await make(retention=0.0)
    add_old_entries(client, range(1, 151))
    entries = await read_all(t, 150)
    assert await t.settle(entries.pop(), [Redelivery(0.0, 1, ())])
    for entry in entries:
        t.ack(entry)
    await t.flush()
    client.config_set("maxmemory", "1")
    try:
        assert [] == await t.read(1, 0.01)
        with pytest.raises(TransportError):
            await t._maintenance.run_once()
        assert 150 > client.xlen(STREAM)
    finally:
        client.config_set("maxmemory", "0")
    await t._maintenance.run_once()
    assert 1 == len(await read_for(t, 0.3))


async def test_retention_trims_as_many_entries_as_are_finished(
    make, client, monkeypatch
):
    monkeypatch.setattr("evmon._transports.redis.maintenance.TRIM_COUNT", 200)
    t = await make(retention=0.0)
    add_old_entries(client, range(1, 2001))
    for entry in await read_all(t, 2000):
        t.ack(entry)
    await t.flush()
    await t._maintenance.run_once()

    assert 200 >= client.xlen(STREAM)
