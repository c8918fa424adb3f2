"""Concurrent calls, and reconnecting after a failure."""

import asyncio
import signal

import pytest
from tests.transports.redis.entries import DEAD, REASON, STREAM, pending, read_all

from evmon import TransportError
from evmon._telemetry import instruments as i
from evmon._telemetry.transport_recorder import TransportRecorder
from evmon._transports.redis import RedisTransport


async def test_more_concurrent_calls_than_connections_all_succeed(
    make, client, measured
):
    t = await make()
    await t.publish([b"a"] * 500)
    entries = await read_all(t, 500)
    settled = await asyncio.gather(*(t.settle(e, [REASON]) for e in entries))

    assert {True} == set(settled)
    assert 500 == client.xlen(DEAD)
    assert "" == t.problem
    assert 0 == measured.total(i.RECONNECTS)


async def test_reading_and_publishing_continue_after_a_restart_of_the_server(
    make, own_server, measured
):
    server = own_server("--appendfsync", "always")
    t = await make(server.url)
    await t.publish([b"a", b"b"])
    one, _ = await t.read(10, 0.01)
    t.ack(one)
    await asyncio.to_thread(server.stop, signal.SIGKILL)
    with pytest.raises(TransportError):
        await t.publish([b"c"], ["c"], 1)
    with pytest.raises(TransportError):
        await t.read(10, 0.01)
    assert "the connection to Redis is broken" == t.problem
    await asyncio.to_thread(server.start)
    await t.publish([b"c"], ["c"], 1)

    (third,) = await read_all(t, 1)
    assert b"c" == third.raw
    assert "" == t.problem
    assert 2 == measured.total(i.RECONNECTS)
    await t.flush()
    with server.client() as client:
        assert 2 == pending(client)


async def test_connections_to_a_server_that_became_a_replica_are_closed(
    own_server, measured
):
    server = own_server()
    recorder = TransportRecorder(measured.meter, "shop", "shop")
    t = RedisTransport(server.url, "shop", recorder=recorder)
    await t.open()
    with server.client() as client:
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(TransportError, match=r"READONLY|read only"):
            await t.publish([b"a"], ["a"], 1)
        assert "the connection to Redis is broken" == t.problem
        client.replicaof("NO", "ONE")
        await t.publish([b"a"], ["a"], 1)
        assert 1 == client.xlen(STREAM)
    assert "" == t.problem
    assert 1 == measured.total(i.RECONNECTS)
    await t.close()
