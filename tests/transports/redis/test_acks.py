"""An acknowledgement removes an entry only from the list of its own consumer."""

import pytest
from tests.transports.redis.entries import DEAD, REASON, STREAM, owners, pending

from evmon._telemetry import instruments as i


async def reclaimed(make, lease=0.1):
    """Two consumers: the second has reclaimed an entry that the first still handles."""
    one, two = await make(lease=lease), await make(lease=lease)
    await one.publish([b"a"])
    (held,) = await one.read(10, 0.01)
    entries = []
    while not entries:
        entries = await two.read(10, 0.05)
    return one, held, two, entries[0]


@pytest.mark.parametrize("sent_by", ["flush", "read"])
async def test_a_consumer_that_lost_its_lease_acknowledges_nothing(
    make, client, measured, caplog, sent_by
):
    one, held, two, _ = await reclaimed(make)

    one.ack(held)
    await (one.flush() if sent_by == "flush" else one.read(10, 0.01))

    assert {two._consumer.name} == owners(client)
    assert 1 == measured.total(i.LEASE_LOSSES)
    assert "1 events were reclaimed by another consumer" in caplog.text
    assert held.id == caplog.records[-1].entry_id


async def test_the_consumer_that_reclaimed_settles_although_the_first_acknowledged(
    make, client, caplog
):
    one, held, two, taken = await reclaimed(make)
    one.ack(held)
    await one.flush()

    assert await two.settle(taken, [REASON])
    assert 0 == pending(client)
    assert 1 == client.xlen(DEAD)
    assert "DELCONSUMER" not in caplog.text


async def test_acknowledgements_of_finished_entries_are_not_reported(
    make, client, measured
):
    t = await make()
    await t.publish([b"a", b"b"])
    entries = await t.read(10, 0.01)
    client.xack(STREAM, "shop", entries[0].id)
    for received in entries:
        t.ack(received)
    await t.flush()

    assert 0 == pending(client)
    assert 0 == measured.total(i.LEASE_LOSSES)


async def test_acknowledgements_without_a_group_are_done(make, client):
    t = await make()
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])
    client.xgroup_destroy(STREAM, "shop")

    await t.flush()

    assert [] == t._consumer.streams[0].unsent_acks


async def test_the_text_of_the_script_is_sent_only_if_the_server_lacks_it(make, client):
    t = await make()
    for n in range(4):
        await t.publish([f"{n}".encode(), b"x"])
        if n == 2:
            client.script_flush()
        entries = await t.read(10, 0.01)
        assert [f"{n}".encode(), b"x"] == [received.raw for received in entries]
        for received in entries:
            t.ack(received)
    before = client.info("commandstats")["cmdstat_eval"]["calls"]
    for _ in range(5):
        await t.publish([b"y"])
        (received,) = await t.read(10, 0.01)
        t.ack(received)
    await t.flush()

    assert before == client.info("commandstats")["cmdstat_eval"]["calls"]
    assert set() == owners(client)
