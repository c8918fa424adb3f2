"""Events are appended once; a transport reports its problems and leaves its group."""

import asyncio

import anyio
import pytest
from tests.transports.redis.entries import DEAD, REASON, RETRY, STREAM, pending

from evmon import BusStateError, EventBus, RedisConfig, TransportError
from evmon._transports.base import Redelivery
from evmon._transports.redis import RedisTransport
from evmon._transports.redis.scripts import PUBLISH


async def test_a_batch_published_again_is_appended_once(make, client):
    t = await make()
    for _ in range(3):
        assert [None, None] == await t.publish([b"a", b"b"], ["a", "b"], 1)
    assert 2 == client.xlen(STREAM)

    await t.publish([b"c"], ["c"], 2)
    assert [b"a", b"b", b"c"] == [r.raw for r in await t.read(10, 0.01)]


async def test_an_attempt_that_arrives_after_the_next_batch_appends_nothing(
    server, client, monkeypatch
):
    bus = EventBus(service="shop", transport=server.url)
    async with bus:
        connection = bus._runtime.transport._client
        run, sent = connection.eval, []

        async def recorded(*script_call):
            if script_call[0] == PUBLISH:
                sent.append(script_call)
            return await run(*script_call)

        monkeypatch.setattr(connection, "eval", recorded)
        for n in range(12):  # two digits: tickets are compared as numbers
            await bus.publish("a", n)
        for script_call in sent:
            await run(*script_call)

    assert 12 == len(sent) == client.xlen(STREAM)


async def test_without_a_ticket_every_attempt_appends(make, client):
    t = await make()
    await t.publish([b"a"])
    await t.publish([b"a"])

    assert 2 == client.xlen(STREAM)


async def test_tickets_of_producers_are_independent(make, client):
    one, two = await make(), await make()
    await one.publish([b"a"], ["a"], 1)
    await two.publish([b"b"], ["b"], 1)

    assert 2 == client.xlen(STREAM)


async def test_a_ticket_expires(make, client):
    t = await make()
    await t.publish([b"a"], ["a"], 1)

    (key,) = client.keys("*producer*")
    assert 0 < client.ttl(key) <= 86_400


async def test_missing_replicas_are_an_error_and_a_retry_appends_nothing(make, client):
    t = await make(min_replicas=1, timeout=0.5)
    for _ in range(2):
        with pytest.raises(TransportError, match="0 of 1 replicas"):
            await t.publish([b"a"], ["a"], 1)

    assert 1 == client.xlen(STREAM)


async def test_a_batch_is_appended_whole_or_not_at_all(make, client):
    t = await make(streams=("x",), stream_for=lambda event_type: event_type)
    client.delete(f"{STREAM}:x")
    client.set(f"{STREAM}:x", "no stream")
    with pytest.raises(TransportError, match="WRONGTYPE"):
        await t.publish([b"a", b"b"], ["other", "x"], 1)

    assert 0 == client.xlen(STREAM)
    client.delete(f"{STREAM}:x")
    await t.publish([b"a", b"b"], ["other", "x"], 1)
    assert 1 == client.xlen(STREAM) == client.xlen(f"{STREAM}:x")


async def test_a_server_without_memory_refuses_writes_and_loses_nothing(
    make, own_server
):
    server = own_server()
    t = await make(server.url)
    with server.client() as client:
        await t.publish([b"a", b"b", b"c"])
        acked, dead, retried = await t.read(10, 0.01)
        client.config_set("maxmemory", 1)
        with pytest.raises(TransportError, match=r"OOM|maxmemory"):
            await t.publish([b"d"], ["d"], 1)
        with pytest.raises(TransportError, match=r"OOM|maxmemory"):
            await t.settle(dead, [REASON])
        with pytest.raises(TransportError, match=r"OOM|maxmemory"):
            await t.settle(retried, [Redelivery(1, 1, ())])
        t.ack(acked)
        await t.flush()
        assert 2 == pending(client)
        client.config_set("maxmemory", 0)
        assert await t.settle(dead, [REASON])
        assert await t.settle(retried, [Redelivery(1, 1, ())])
        await t.publish([b"d"], ["d"], 1)

        assert 4 == client.xlen(STREAM)
        assert 1 == client.xlen(DEAD) == client.zcard(RETRY)


async def test_close_deletes_a_consumer_without_pending_entries(make, client):
    t = await make()
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])
    assert 1 == len(client.xinfo_consumers(STREAM, "shop"))
    await t.close()

    assert [] == client.xinfo_consumers(STREAM, "shop")
    assert 0 == pending(client)


async def test_close_keeps_a_consumer_with_pending_entries(make, client):
    t = await make()
    await t.publish([b"a", b"b"])
    (received, _) = await t.read(10, 0.01)
    t.ack(received)
    await t.close()

    assert 1 == pending(client)
    (kept,) = client.xinfo_consumers(STREAM, "shop")
    assert t._consumer.name == kept["name"]


async def test_services_on_one_server_are_separate(make):
    one, two = await make(service="one"), await make(service="two")
    await one.publish([b"a"])

    assert [] == await two.read(10, 0.01)
    assert 1 == len(await one.read(10, 0.01))


async def test_a_server_that_does_not_reply_is_a_problem(make, server, clock):
    t = RedisTransport(server.url, "shop", clock=clock)
    await t.open()
    assert "" == t.problem
    clock.now += 60
    assert "no reply from Redis for 60 s" == t.problem
    await t.read(1, 0.01)
    assert "" == t.problem
    await t.close()


async def test_an_error_counts_as_a_reply(server, client, clock):
    t = RedisTransport(server.url, "shop", clock=clock)
    await t.open(reads=False)
    clock.now += 60
    client.set(STREAM, "no stream")
    with pytest.raises(TransportError, match="WRONGTYPE"):
        await t.publish([b"a"])

    assert "" == t.problem
    await t.close()


async def test_refused_reads_are_a_problem(own_server):
    server = own_server()
    with server.client() as client:
        client.execute_command(
            *("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@all")
        )
    t = RedisTransport(
        server.url, "shop", config=RedisConfig(username="reader", password="pw")
    )
    await t.open()
    assert "" == t.problem
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "-xreadgroup")
    with pytest.raises(TransportError):
        await t.read(1, 0.01)
    assert t.problem.startswith("reading fails: ")
    assert "xreadgroup" in t.problem
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "+xreadgroup")
    await t.read(1, 0.01)
    assert "" == t.problem
    await t.close()


@pytest.mark.parametrize("part", ["_leases", "_maintenance", "_send_acks"])
@pytest.mark.parametrize("cancelled", [False, True], ids=["returns", "is cancelled"])
async def test_a_part_that_ends_before_the_transport_is_an_error_at_once(
    make, monkeypatch, part, cancelled
):
    async def ends():
        if cancelled:
            raise asyncio.CancelledError

    t = await make()
    owner, name = (t, part) if part == "_send_acks" else (getattr(t, part), "run")
    monkeypatch.setattr(owner, name, ends)
    task = asyncio.create_task(t.run())
    await asyncio.wait([task], timeout=2)
    ended = task.done()
    task.cancel()
    await asyncio.wait([task])

    assert ended
    (error,) = task.exception().exceptions
    assert isinstance(error, BusStateError)
    how = "was cancelled from outside" if cancelled else "ended before"
    assert how in str(error)


async def test_a_cancelled_transport_ends_without_an_error(make):
    t = await make()
    with anyio.move_on_after(0.05) as scope:
        await t.run()
    assert scope.cancelled_caught

    task = asyncio.create_task(t.run())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
