"""A key of the wrong type is named in errors, with the command that shows it."""

import asyncio
import logging

import pytest
from tests.transports.redis.entries import (
    DEAD,
    ENTRIES,
    REASON,
    RETRY,
    STREAM,
    read_all,
)
from tests.waiting import eventually

from evmon import TransportError
from evmon._transports.base import Redelivery
from evmon._transports.redis.key_types import expected_type, wrong_type
from evmon._transports.redis.keys import Keys

NAMED = f"{DEAD} holds a string, not a stream; look at it: redis-cli GET '{DEAD}'"


def test_every_key_of_a_service_has_a_type():
    keys = Keys("a}:b")
    found = {
        "stream": [keys.dead, keys.stream(), keys.stream("x")],
        "zset": [keys.retry],
        "hash": [keys.retry_entries, keys.runs],
        "set": [keys.trimmed("me"), keys.reclaimed("me")],
        "string": [keys.producer("me")],
    }
    for kind, names in found.items():
        assert [kind] * len(names) == [expected_type(name) for name in names]


@pytest.mark.parametrize("name", ["", "events", "other:{shop}:dead", "evmon:{shop}:x"])
def test_a_foreign_key_has_no_expected_type(name):
    assert "" == expected_type(name)


@pytest.mark.parametrize("kind", ["stream", "none"])
def test_a_key_that_is_missing_or_of_its_type_is_not_reported(kind):
    assert "" == wrong_type(DEAD, kind)


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("list", "LRANGE"),
        ("set", "SSCAN"),
        ("zset", "ZRANGE"),
        ("hash", "HSCAN"),
        ("ReJSON-RL", "TYPE"),
    ],
)
def test_each_type_has_a_command_that_shows_it(kind, command):
    assert f"redis-cli {command} '{DEAD}'" in wrong_type(DEAD, kind)


def test_a_quote_in_a_key_is_escaped_for_the_shell():
    assert "redis-cli GET 'evmon:{it'\"'\"'s}:dead'" in wrong_type(
        Keys("it's").dead, "string"
    )


async def test_a_settlement_names_the_key_of_the_wrong_type(make, client):
    t = await make()
    await t.publish([b"a"])
    (received,) = await read_all(t, 1)
    client.set(DEAD, "no stream")
    with pytest.raises(TransportError) as failure:
        await t.settle(received, [REASON])
    assert f"WRONGTYPE {NAMED}" == str(failure.value)

    client.delete(DEAD)
    assert await t.settle(received, [REASON])


@pytest.mark.parametrize("key", [RETRY, ENTRIES])
async def test_a_schedule_of_the_wrong_type_is_named(make, client, key):
    t = await make()
    await t.publish([b"a"])
    (received,) = await read_all(t, 1)
    client.set(key, "x")
    with pytest.raises(TransportError, match=f"WRONGTYPE {key} holds a string"):
        await t.settle(received, [Redelivery(60, 1, ())])


async def test_a_read_and_a_publish_name_the_stream_of_the_wrong_type(make, client):
    t = await make()
    client.delete(STREAM)
    client.set(STREAM, "x")
    with pytest.raises(TransportError, match=f"WRONGTYPE {STREAM} holds a string"):
        await t.publish([b"a"])
    with pytest.raises(TransportError, match=f"WRONGTYPE {STREAM} holds a string"):
        await t.read(1, 0.01)

    assert f"{STREAM} holds a string" in t.problem


@pytest.mark.parametrize("key", [DEAD, RETRY, ENTRIES, "evmon:{shop}:runs"])
async def test_readiness_and_the_log_name_a_key_of_the_wrong_type_until_it_is_gone(
    make, client, running, caplog, key
):
    t = await make(upkeep_interval=0.1)
    running(t)
    await asyncio.sleep(0)
    assert "" == t.problem
    client.delete(key)
    client.set(key, "x")
    await eventually(lambda: f"{key} holds a string" in t.problem)
    assert f"redis-cli GET '{key}'" in t.problem
    await asyncio.sleep(0.3)
    errors = [r.message for r in caplog.records if r.levelno == logging.ERROR]
    assert [f"a key has the wrong type: {t.problem}"] == errors

    client.delete(key)
    await eventually(lambda: t.problem == "")


async def test_a_process_that_only_publishes_stays_ready(server, make, client):
    t = await make(upkeep_interval=0.1)
    t._reader.groups.needed = False
    client.set(DEAD, "x")
    with pytest.raises(TransportError):
        await t._maintenance.run_once()

    assert "" == t.problem


async def test_a_server_that_refuses_type_does_not_hide_the_error(own_server, make):
    server = own_server()
    t = await make(server.url)
    with server.client() as client:
        await t.publish([b"a"])
        (received,) = await read_all(t, 1)
        client.execute_command("ACL", "SETUSER", "default", "-type")
        client.set(DEAD, "x")
        with pytest.raises(TransportError, match="WRONGTYPE Operation"):
            await t.settle(received, [REASON])
        client.delete(DEAD)
        await t._maintenance.run_once()


async def test_a_wrong_type_found_by_maintenance_does_not_disturb_a_read(make, client):
    t = await make()
    await t.read(1, 0.01)
    reading = asyncio.create_task(t.read(1, 1.5))
    await asyncio.sleep(0.1)
    client.zadd(RETRY, {"x": 1})
    client.set(ENTRIES, "x")
    with pytest.raises(TransportError, match=f"WRONGTYPE {ENTRIES} holds a string"):
        await asyncio.wait_for(t._reader.promote(), 1)
    await t.publish([b"a"])

    assert [b"a"] == [received.raw for received in await reading]
