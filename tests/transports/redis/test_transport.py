"""Events are appended once, to the right stream, and trouble is told."""

import pytest
from tests.transports.redis.entries import DEAD, RETRY, STREAM, WHY, pending, read_all

from evmon import EventBus, RedisConfig, TransportError
from evmon._transports.base import Redelivery
from evmon._transports.redis import RedisTransport
from evmon._transports.redis.scripts import PUBLISH


async def test_a_batch_that_is_tried_again_is_appended_once(make, client):
    t = await make()
    for _ in range(3):
        assert await t.publish([b"a", b"b"], ["a", "b"], 1) == [None, None]
    assert client.xlen(STREAM) == 2

    await t.publish([b"c"], ["c"], 2)
    assert [r.raw for r in await t.read(10, 0.01)] == [b"a", b"b", b"c"]


async def test_a_try_that_arrives_after_the_next_batch_is_too_late(
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
        for n in range(12):  # more than one digit: numbers are compared, not texts
            await bus.publish("a", n)
        for script_call in sent:
            await run(*script_call)

    assert 12 == len(sent) == client.xlen(STREAM)


async def test_without_a_ticket_every_try_counts(make, client):
    t = await make()
    await t.publish([b"a"])
    await t.publish([b"a"])

    assert client.xlen(STREAM) == 2


async def test_tickets_of_different_producers_do_not_meet(make, client):
    one, two = await make(), await make()
    await one.publish([b"a"], ["a"], 1)
    await two.publish([b"b"], ["b"], 1)

    assert client.xlen(STREAM) == 2


async def test_a_ticket_is_not_remembered_for_ever(make, client):
    t = await make()
    await t.publish([b"a"], ["a"], 1)

    (key,) = client.keys("*producer*")
    assert 0 < client.ttl(key) <= 86_400


async def test_missing_replicas_are_told_and_a_retry_appends_nothing_more(make, client):
    t = await make(min_replicas=1, timeout=0.5)
    for _ in range(2):
        with pytest.raises(TransportError, match="0 of 1 replicas"):
            await t.publish([b"a"], ["a"], 1)

    assert client.xlen(STREAM) == 1


async def test_a_batch_is_appended_whole_or_not_at_all(make, client):
    t = await make(streams=("x",), stream_for=lambda event_type: event_type)
    client.delete(f"{STREAM}:x")
    client.set(f"{STREAM}:x", "no stream")
    with pytest.raises(TransportError, match="WRONGTYPE"):
        await t.publish([b"a", b"b"], ["other", "x"], 1)

    assert client.xlen(STREAM) == 0
    client.delete(f"{STREAM}:x")
    await t.publish([b"a", b"b"], ["other", "x"], 1)
    assert client.xlen(STREAM) == client.xlen(f"{STREAM}:x") == 1


async def test_a_server_without_memory_refuses_and_loses_nothing(make, own_server):
    server = own_server()
    t = await make(server.url)
    with server.client() as client:
        await t.publish([b"a", b"b", b"c"])
        acked, dead, again = await t.read(10, 0.01)
        client.config_set("maxmemory", 1)
        with pytest.raises(TransportError, match=r"OOM|maxmemory"):
            await t.publish([b"d"], ["d"], 1)
        with pytest.raises(TransportError, match=r"OOM|maxmemory"):
            await t.settle(dead, WHY, None)
        with pytest.raises(TransportError, match=r"OOM|maxmemory"):
            await t.settle(again, None, Redelivery(1, 1, ()))
        t.ack(acked)
        await t.flush()
        assert pending(client) == 2
        client.config_set("maxmemory", 0)
        assert await t.settle(dead, WHY, None)
        assert await t.settle(again, None, Redelivery(1, 1, ()))
        await t.publish([b"d"], ["d"], 1)

        assert client.xlen(STREAM) == 4
        assert client.xlen(DEAD) == client.zcard(RETRY) == 1


async def test_a_consumer_that_holds_nothing_is_forgotten_when_it_closes(make, client):
    t = await make()
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])
    assert len(client.xinfo_consumers(STREAM, "shop")) == 1
    await t.close()

    assert client.xinfo_consumers(STREAM, "shop") == []
    assert pending(client) == 0


async def test_a_consumer_that_holds_something_is_kept_when_it_closes(make, client):
    t = await make()
    await t.publish([b"a", b"b"])
    (received, _) = await t.read(10, 0.01)
    t.ack(received)
    await t.close()

    assert pending(client) == 1
    (kept,) = client.xinfo_consumers(STREAM, "shop")
    assert kept["name"] == t._consumer.name


async def test_a_rule_chooses_the_stream(make, client):
    t = await make(
        streams=("orders", "users"), stream_for=lambda kind: kind.split(".")[0]
    )
    kinds = ["orders.made", "users.left", "stock.low", "orders.sent"]
    raws = [kind.encode() for kind in kinds]
    await t.publish(raws, kinds, 1)
    await t.publish(raws, kinds, 1)

    assert client.xlen(STREAM) == 1
    assert client.xlen(f"{STREAM}:orders") == 2
    assert client.xlen(f"{STREAM}:users") == 1
    entries = await read_all(t, 4)
    assert sorted(raws) == sorted(r.raw for r in entries)
    for received in entries:
        t.ack(received)
    await t.flush()
    for stream in (STREAM, f"{STREAM}:orders", f"{STREAM}:users"):
        assert pending(client, stream=stream) == 0


async def test_where_the_rule_fails_the_service_s_own_stream_takes_the_event(
    make, client, caplog
):
    names = {"orders.made": "orders", "wrong": ["no", "name"]}
    t = await make(streams=("orders",), stream_for=names.__getitem__)
    for _ in range(2):
        await t.publish([b"a", b"b", b"c"], ["orders.made", "new.type", "wrong"])

    assert (4, 2) == (client.xlen(STREAM), client.xlen(f"{STREAM}:orders"))
    (told,) = (r for r in caplog.records if "stream_for" in r.getMessage())
    assert "ERROR" == told.levelname
    assert told.getMessage().startswith("stream_for failed for new.type: its events go")


async def test_that_the_rule_fails_is_told_of_a_limited_number_of_types(make, caplog):
    t = await make(streams=("orders",), stream_for={}.__getitem__)
    kinds = [f"type.{n}" for n in range(200)]
    await t.publish([b"a"] * 200, kinds)

    assert 100 == caplog.text.count("stream_for failed for type.")


async def test_services_on_one_server_do_not_meet(make):
    one, two = await make(service="one"), await make(service="two")
    await one.publish([b"a"])

    assert await two.read(10, 0.01) == []
    assert len(await one.read(10, 0.01)) == 1


async def test_a_service_that_is_silent_says_so(make, server, clock):
    t = RedisTransport(server.url, "shop", clock=clock)
    await t.open()
    assert t.problem == ""
    clock.now += 60
    assert t.problem == "no reply from Redis for 60 s"
    await t.read(1, 0.01)
    assert t.problem == ""
    await t.close()


async def test_reads_that_are_refused_are_trouble(own_server):
    server = own_server()
    with server.client() as client:
        client.execute_command(
            *("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@all", "-xreadgroup")
        )
    t = RedisTransport(
        server.url, "shop", config=RedisConfig(username="reader", password="pw")
    )
    await t.open()
    assert t.problem == ""
    with pytest.raises(TransportError):
        await t.read(1, 0.01)
    assert t.problem.startswith("reading fails: ")
    assert "xreadgroup" in t.problem
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "+xreadgroup")
    await t.read(1, 0.01)
    assert t.problem == ""
    await t.close()
