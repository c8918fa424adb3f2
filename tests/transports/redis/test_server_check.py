"""The server's version and settings are checked at startup."""

import asyncio
import logging

import pytest
from tests.waiting import eventually

from evmon import ConfigError, EventBus, RedisConfig
from evmon._transports.redis import RedisTransport
from evmon._transports.redis.server_check import risks_of, too_old


async def start(url, **config):
    transport = RedisTransport(url, "shop", config=RedisConfig(**config))
    try:
        await transport.open()
    finally:
        await transport.close()


def warnings_of(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


async def test_a_durable_server_causes_no_warning(own_server, caplog):
    await start(own_server().url, require_durable=True)

    assert [] == warnings_of(caplog)


async def test_a_missing_append_only_file_causes_a_warning(own_server, caplog):
    await start(own_server("--appendonly", "no").url)

    (warning,) = warnings_of(caplog)
    assert "events may get lost: the server keeps no append-only file" in warning
    assert "set appendonly yes" in warning


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
async def test_a_policy_that_may_evict_streams_causes_a_warning(
    own_server, caplog, policy
):
    server = own_server("--maxmemory", "100mb", "--maxmemory-policy", policy)
    await start(server.url)

    (warning,) = warnings_of(caplog)
    assert f"maxmemory-policy {policy} may evict whole streams" in warning


@pytest.mark.parametrize(
    "options",
    [
        ("--maxmemory", "100mb", "--maxmemory-policy", "noeviction"),
        ("--maxmemory", "0", "--maxmemory-policy", "allkeys-lru"),
    ],
)
async def test_a_policy_that_evicts_nothing_causes_no_warning(
    own_server, caplog, options
):
    await start(own_server(*options).url)

    assert [] == warnings_of(caplog)


async def test_require_durable_refuses_a_server_that_may_lose_events(own_server):
    server = own_server(
        *("--appendonly", "no"),
        *("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"),
    )
    with pytest.raises(ConfigError) as caught:
        await start(server.url, require_durable=True)

    message = str(caught.value)
    assert message.startswith("require_durable: ")
    assert "append-only" in message
    assert "allkeys-lru" in message
    assert "\n" not in message
    with server.client() as client:
        assert [] == client.keys("*")


async def test_a_bus_that_requires_durability_does_not_start_without_it(own_server):
    server = own_server("--appendonly", "no")
    bus = EventBus(transport=server.url, redis=RedisConfig(require_durable=True))
    with pytest.raises(ConfigError, match="require_durable"):
        await bus.start()
    with server.client() as client:
        assert 1 == len(client.client_list()), "a connection was left open"


@pytest.mark.parametrize("require", [True, False])
async def test_a_user_without_access_to_info_causes_a_warning_or_an_error(
    own_server, caplog, require
):
    server = own_server()
    with server.client() as client:
        client.execute_command(
            *("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-info")
        )
    arguments = {"username": "app", "password": "pw", "require_durable": require}
    if require:
        with pytest.raises(ConfigError, match="INFO is refused"):
            await start(server.url, **arguments)
    else:
        await start(server.url, **arguments)
        (warning,) = warnings_of(caplog)
        assert "unknown are the server's version" in warning


async def test_a_user_who_may_not_create_the_group_is_an_error(own_server):
    server = own_server()
    with server.client() as client:
        client.execute_command(
            *("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-xgroup")
        )
    with pytest.raises(ConfigError, match="may not use XGROUP CREATE"):
        await start(server.url, username="app", password="pw", connect_within=0)


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("6.2.14", True),
        ("5.0", True),
        ("7.0.0", False),
        ("7.0.15", False),
        ("7.4", False),
        ("8.0.1", False),
        ("255.255.255", False),
        ("", True),
    ],
)
def test_servers_before_7_0_are_too_old(version, old):
    assert old == bool(too_old({"redis_version": version}))


async def test_a_server_that_is_too_old_is_refused(server, monkeypatch):
    transport = RedisTransport(server.url, "shop")

    async def info(*command):
        return b"redis_version:6.2.14\r\naof_enabled:1\r\n"

    monkeypatch.setattr(transport._client, "call", info)
    with pytest.raises(ConfigError, match=r"Redis 6\.2\.14 is too old: 7\.0 or later"):
        await transport.open()
    monkeypatch.undo()
    await transport.close()


async def test_a_vulnerable_server_causes_a_warning(server, monkeypatch, caplog):
    transport = RedisTransport(server.url, "shop")
    call = transport._client.call

    async def info(*command):
        if command[0] == "INFO":
            return b"redis_version:7.0.4\r\naof_enabled:1\r\n"
        return await call(*command)

    monkeypatch.setattr(transport._client, "call", info)
    await transport.open()
    await transport.close()

    assert ["Redis 7.0.4 has known vulnerabilities: use 7.0.5 or later"] == warnings_of(
        caplog
    )


def test_a_policy_that_may_evict_expiring_keys_is_a_risk():
    info = {"aof_enabled": "1", "maxmemory": "1", "maxmemory_policy": "volatile-lru"}

    (danger,) = risks_of(info)
    assert "volatile-lru may evict evmon's expiring keys" in danger


async def test_open_waits_for_a_server_that_starts_late(own_server, caplog):
    server = own_server()
    server.stop()
    t = RedisTransport(server.url, "shop")
    opening = asyncio.create_task(t.open())
    await eventually(lambda: "waiting for server" in caplog.text)
    await asyncio.to_thread(server.start)
    await asyncio.wait_for(opening, 5)
    assert "" == t.problem
    await t.close()
