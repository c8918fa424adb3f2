"""Consumer groups are created, and recreated after somebody deleted them."""

import asyncio

import pytest
from tests.transports.redis.entries import (
    DEAD,
    STREAM,
    pending,
    read_all,
)
from tests.waiting import eventually

from evmon import (
    ConsumerConfig,
    Event,
    EventBus,
    RedisConfig,
    Reject,
    TransportError,
)
from evmon._telemetry import instruments as i


@pytest.mark.parametrize("how", ["flushall", "delete"])
async def test_a_deleted_stream_and_its_group_are_recreated(
    make, client, measured, how
):
    t = await make()
    await t.publish([b"a"])
    assert 1 == len(await t.read(10, 0.01))
    client.flushall() if how == "flushall" else client.delete(STREAM)
    with pytest.raises(TransportError):
        await t.read(10, 0.01)
    assert "the consumer group is gone" == t.problem
    await t.publish([b"b"])

    (received,) = await read_all(t, 1)
    assert b"b" == received.raw
    assert "" == t.problem
    assert 1 == measured.total(i.GROUP_RECREATIONS)


async def test_a_blocked_read_fails_when_the_stream_is_deleted(make, client):
    t = await make()
    reading = asyncio.create_task(t.read(10, 2))
    await asyncio.sleep(0.05)
    client.delete(STREAM)
    with pytest.raises(TransportError):
        await reading
    await t.publish([b"b"])

    assert 1 == len(await read_all(t, 1))


async def test_a_recreated_group_redelivers_all_but_held_entries(
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
    assert [b"done", b"new"] == [r.raw for r in entries]
    assert 1 == measured.total(i.GROUP_RECREATIONS)
    assert "was missing and has been recreated" in caplog.text
    for received in (held, *entries):
        t.ack(received)
    await t.flush()
    assert 0 == pending(client)


async def test_a_destroyed_group_is_recreated_while_every_slot_waits_to_settle(
    server, client
):
    started, destroyed, handled = asyncio.Event(), asyncio.Event(), set()

    async def handler(event: Event) -> None:
        started.set()
        await destroyed.wait()
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
        destroyed.set()
        await eventually(lambda: 1 in handled, 20)
        await eventually(lambda: client.xlen(DEAD) == 1)
        snapshot = bus._runtime.telemetry.snapshot()
        assert 1 == snapshot.total(i.GROUP_RECREATIONS)


async def test_the_bus_survives_flushall(server, client, caplog):
    seen = []
    bus = EventBus(service="shop", transport=server.url)
    bus.add_handler("a", lambda e: seen.append(e.data))
    async with bus:
        await bus.publish("a", 1)
        await eventually(lambda: seen == [1])
        client.flushall()
        await eventually(lambda: client.exists(STREAM))
        await bus.publish("a", 2)
        await eventually(lambda: seen == [1, 2])
        snapshot = bus._runtime.telemetry.snapshot()
        assert 1 == snapshot.total(i.GROUP_RECREATIONS)


async def test_every_deleted_stream_of_several_is_recreated(make, client):
    t = await make(streams=("x",), stream_for=lambda kind: kind)
    client.flushall()
    with pytest.raises(TransportError):
        await t.read(10, 0.01)
    await t.publish([b"a", b"b"], ["x", "other"])

    assert 2 == len(await read_all(t, 2))
