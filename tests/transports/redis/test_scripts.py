"""Scripts are called by digest; a server that lacks one receives its text once."""

import asyncio

import pytest
from tests.transports.redis.entries import (
    DEAD,
    REASON,
    RETRY,
    STREAM,
    pending,
    read_all,
)
from tests.waiting import eventually

from evmon import TransportError
from evmon._transports.base import Redelivery
from evmon._transports.redis import scripts
from evmon._transports.redis.errors import BrokenError
from evmon._transports.redis.scripts import Script, with_text

SCRIPTS = {
    name: value for name, value in vars(scripts).items() if isinstance(value, Script)
}


def calls(client, command):
    """How often the server received a command."""
    return client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_server_computes_the_same_digest(client, name):
    assert SCRIPTS[name].sha1 == client.script_load(SCRIPTS[name].text)


@pytest.mark.parametrize("name", SCRIPTS)
def test_comment_lines_are_not_sent(name):
    lines = [line.strip() for line in SCRIPTS[name].text.splitlines()]

    assert [] == [line for line in lines if line.startswith("--")]


def test_a_command_carries_the_digest_instead_of_the_text():
    script = scripts.TRIM

    assert ("EVALSHA", script.sha1, 1, "s", 60, 10) == script.command(("s",), (60, 10))


def test_with_text_carries_the_text_and_the_same_arguments():
    script = scripts.TRIM
    command = script.command(("s",), (60, 10))

    assert ("EVAL", script.text, 1, "s", 60, 10) == with_text(command)


def test_with_text_leaves_other_commands_alone():
    assert ("WAIT", 1, 100) == with_text(("WAIT", 1, 100))


async def test_a_known_script_is_sent_by_digest_alone(make, client):
    t = await make()
    await t.publish([b"a"])
    client.config_resetstat()
    for _ in range(5):
        await t.publish([b"a"])

    assert (5, 0) == (calls(client, "evalsha"), calls(client, "eval"))


async def test_a_missing_script_is_sent_once_and_runs_once(make, client):
    t = await make()
    client.script_flush()
    client.config_resetstat()
    for _ in range(2):
        await t.publish([b"a"])

    assert (2, 1) == (calls(client, "evalsha"), calls(client, "eval"))
    assert 2 == client.xlen(STREAM)


async def test_every_operation_survives_a_flush_of_the_scripts(make, client):
    one, other = await make(lease=0.1, retention=0.0), await make(lease=0.1)

    async def flushed(operation):
        client.script_flush()
        return await operation

    await flushed(one.publish([b"acked", b"dead", b"retried", b"released", b"left"]))
    acked, dead, retried, released, left = await flushed(read_all(one, 5))
    one.ack(acked)
    await one.flush()
    assert await flushed(one.settle(dead, [REASON]))
    assert await flushed(one.settle(retried, [Redelivery(0, 1, ())]))
    await flushed(one._leases.renew())
    await flushed(one.release([released]))
    await flushed(one._maintenance.run_once())
    await asyncio.sleep(0.15)
    entries = await flushed(read_all(other, 3))

    assert [b"left", b"released", b"retried"] == sorted(e.raw for e in entries)
    assert (1, 0) == (client.xlen(DEAD), client.zcard(RETRY))
    assert 3 == pending(client)
    assert left.id in {e.id for e in entries}


async def test_settling_survives_a_flush_and_settles_once(make, client):
    t = await make()
    await t.publish([b"a"] * 50)
    entries = await read_all(t, 50)
    for number, received in enumerate(entries):
        if number % 10 == 0:
            client.script_flush()
        assert await t.settle(received, [REASON])

    assert 50 == client.xlen(DEAD)
    assert 0 == pending(client)


async def test_concurrent_calls_survive_a_flush_and_run_once_each(make, client):
    t = await make()
    client.script_flush()
    await asyncio.gather(*(t.publish([b"a"]) for _ in range(20)))

    assert 20 == client.xlen(STREAM)


async def test_a_restarted_server_receives_the_scripts_again(make, own_server):
    server = own_server()
    t = await make(server.url)
    await t.publish([b"a"])
    server.restart()
    with pytest.raises(BrokenError):
        await t.publish([b"b"], ["b"], 1)
    await t.publish([b"b"], ["b"], 1)

    with server.client() as client:
        assert 2 == client.xlen(STREAM)


@pytest.fixture
async def replicated(make, own_server):
    """A transport that waits for one replica, its primary and the replica."""
    primary = own_server("--repl-diskless-sync-delay", "0")
    replica = own_server("--replicaof", "127.0.0.1", str(primary.port))
    with replica.client() as client:
        await eventually(
            lambda: client.info("replication")["master_link_status"] == "up", 10
        )
    return await make(primary.url, min_replicas=1, timeout=1.0), primary, replica


async def test_a_missing_script_in_a_pipe_runs_once_and_wait_follows_it(replicated):
    t, primary, replica = replicated
    with primary.client() as client, replica.client() as copy:
        for number in range(1, 6):
            client.script_flush()
            client.config_resetstat()
            await t.publish([b"a"], ["a"], number)
            # Before the script has run, and again after it.
            assert 2 == calls(client, "wait")
            assert number == client.xlen(STREAM) == copy.xlen(STREAM)


async def test_a_missing_script_in_a_pipe_does_not_hide_a_missing_replica(replicated):
    t, primary, replica = replicated
    with primary.client() as client:
        await t.publish([b"a"], ["a"], 1)
        client.script_flush()
        replica.stop(9)
        with pytest.raises(TransportError, match="0 of 1 replicas"):
            await t.publish([b"b"], ["b"], 2)

        assert 2 == client.xlen(STREAM)


async def test_what_surrounds_a_missing_script_in_a_pipe_is_not_repeated(make, client):
    t = await make()
    client.script_flush()
    script = scripts.PUBLISH.command(("producer", STREAM), (0, 60, 0, 2, 1, b"a"))
    replies = await t._client.pipe([("INCR", "before"), script, ("INCR", "after")])

    assert [1, 1, 1] == replies
    assert ["1", "1"] == client.mget("before", "after")


async def test_a_known_script_in_a_pipe_is_sent_by_digest_alone(make, client):
    t = await make()
    await t.publish([b"a"])
    client.config_resetstat()
    script = scripts.PUBLISH.command(("producer", STREAM), (0, 60, 0, 2, 1, b"a"))
    await t._client.pipe([script, ("XLEN", STREAM)])

    assert (1, 0) == (calls(client, "evalsha"), calls(client, "eval"))


async def test_a_missing_script_runs_over_the_connection_that_reads(make, client):
    t = await make()
    client.script_flush()
    script = scripts.PUBLISH.command(("producer", STREAM), (0, 60, 0, 2, 1, b"a"))
    replies = await t._reading_client.pipe([script, ("INCR", "after")])

    assert [1, 1] == replies
    assert 1 == client.xlen(STREAM)
