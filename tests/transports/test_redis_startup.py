"""Before events are entrusted to a server: the look at it, and the URL that names it."""

import logging

import pytest
from redis.asyncio import RedisCluster, SSLConnection

from evmon import ConfigError, EventBus, RedisConfig, TransportError
from evmon._transports import open_transport
from evmon._transports.redis import RedisTransport
from evmon._transports.redis.connection import connect, parse_address
from evmon._transports.redis.startup import dangers_of, too_old

NOTHING = RedisConfig()


async def start(url, **config):
    transport = RedisTransport(url, "shop", config=RedisConfig(**config))
    try:
        await transport.open()
    finally:
        await transport.close()


def warnings_of(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


async def test_a_durable_server_gives_no_warning(own_server, caplog):
    await start(own_server().url, require_durable=True)

    assert warnings_of(caplog) == []


async def test_a_server_without_an_append_only_file_is_warned_of(own_server, caplog):
    await start(own_server("--appendonly", "no").url)

    (warning,) = warnings_of(caplog)
    assert "events may get lost: the server keeps no append-only file" in warning
    assert "set appendonly yes" in warning


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
async def test_a_server_that_may_evict_streams_is_warned_of(own_server, caplog, policy):
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
async def test_a_server_that_evicts_nothing_is_not_warned_of(
    own_server, caplog, options
):
    await start(own_server(*options).url)

    assert warnings_of(caplog) == []


async def test_durability_is_refused_at_once_where_it_is_not_given(own_server):
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
        assert client.keys("*") == []


async def test_a_bus_on_such_a_server_does_not_start(own_server):
    server = own_server("--appendonly", "no")
    bus = EventBus(transport=server.url, redis=RedisConfig(require_durable=True))
    with pytest.raises(ConfigError, match="require_durable"):
        await bus.start()
    with server.client() as client:
        assert len(client.client_list()) == 1, "a connection was left open"


@pytest.mark.parametrize("require", [True, False])
async def test_a_user_who_may_not_look_is_warned_or_refused(
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
        assert "cannot check the server's settings" in warning


async def test_a_user_who_may_not_make_the_group_is_refused(own_server):
    server = own_server()
    with server.client() as client:
        client.execute_command(
            *("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-xgroup")
        )
    with pytest.raises(TransportError, match="can't run this command"):
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
def test_the_version_decides_whether_a_server_is_too_old(version, old):
    assert bool(too_old({"redis_version": version})) == old


async def test_a_server_that_is_too_old_is_refused(server, monkeypatch):
    transport = RedisTransport(server.url, "shop")

    async def info(*command):
        return {"redis_version": "6.2.14", "aof_enabled": 1}

    monkeypatch.setattr(transport._link, "call", info)
    with pytest.raises(ConfigError, match=r"Redis 6\.2\.14 is too old: 7\.0 or later"):
        await transport.open()
    monkeypatch.undo()
    await transport.close()


async def test_a_server_with_security_holes_is_warned_of(server, monkeypatch, caplog):
    transport = RedisTransport(server.url, "shop")
    call = transport._link.call

    async def info(*command):
        if command[0] == "INFO":
            return {"redis_version": "7.0.4", "aof_enabled": 1}
        return await call(*command)

    monkeypatch.setattr(transport._link, "call", info)
    await transport.open()
    await transport.close()

    assert warnings_of(caplog) == [
        "Redis 7.0.4 has known vulnerabilities: use 7.0.5 or later"
    ]


def test_a_server_that_may_evict_what_expires_is_warned_of():
    info = {"aof_enabled": 1, "maxmemory": 1, "maxmemory_policy": "volatile-lru"}

    (danger,) = dangers_of(info)
    assert "volatile-lru may evict evmon's own notes" in danger


# URLs


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", {"kind": "server", "hosts": (("localhost", 6379),)}),
        ("redis://h", {"hosts": (("h", 6379),), "db": 0, "tls": False}),
        ("redis://h:1/3", {"hosts": (("h", 1),), "db": 3}),
        ("redis://h?db=4", {"db": 4}),
        ("redis://[::1]:7/2", {"hosts": (("::1", 7),), "db": 2}),
        ("redis://u:p@h", {"username": "u", "password": "p"}),
        ("redis://:p%40%2F%3A@h", {"username": "", "password": "p@/:"}),
        ("redis://u%40x:p@h", {"username": "u@x", "password": "p"}),
        ("redis://h?username=u&password=p", {"username": "u", "password": "p"}),
        ("redis://:p@q@h", {"password": "p@q", "hosts": (("h", 6379),)}),
        ("rediss://h", {"kind": "server", "tls": True}),
        (
            "rediss://h?ssl_ca_certs=/ca.pem",
            {"tls": True, "options": {"ssl_ca_certs": "/ca.pem"}},
        ),
        ("unix:///run/r.sock", {"kind": "socket", "path": "/run/r.sock", "db": 0}),
        ("unix:///a%20b.sock?db=2", {"path": "/a b.sock", "db": 2}),
        ("unix://:p@/run/r.sock", {"path": "/run/r.sock", "password": "p"}),
        (
            "redis+sentinel://a:1,b/primary/2",
            {
                "kind": "sentinel",
                "hosts": (("a", 1), ("b", 26379)),
                "primary": "primary",
                "db": 2,
            },
        ),
        ("rediss+sentinel://u:p@a/x", {"tls": True, "primary": "x", "password": "p"}),
        (
            "redis+cluster://a:1,b:2",
            {"kind": "cluster", "hosts": (("a", 1), ("b", 2)), "db": 0},
        ),
        ("rediss+cluster://a", {"kind": "cluster", "tls": True}),
    ],
)
def test_a_url_is_taken_apart(url, expected):
    address = parse_address(url, NOTHING)

    assert expected == {name: getattr(address, name) for name in expected}


def test_the_login_of_the_configuration_wins():
    config = RedisConfig(username="cu", password="cp")
    address = parse_address("redis://u:p@h?password=q", config)

    assert (address.username, address.password) == ("cu", "cp")


SECRET = "hunter2secret"


@pytest.mark.parametrize(
    "url",
    [
        f"redis://u:{SECRET}@h:port/0",
        f"redis://u:{SECRET}@h:99999/0",
        f"redis://u:{SECRET}@h:1/zero",
        f"redis://u:{SECRET}@h:1/-1",
        f"redis://u:{SECRET}@h?db=x",
        f"redis://u:{SECRET}@h?colour=red",
        f"redis://u:pa?db={SECRET}@h",
        f"redis://u:{SECRET}@h,i:2/0",
        f"redis://u:{SECRET}@h?password={SECRET}&x=1",
        f"redis://u:{SECRET}@[::1",
        f"redis+sentinel://u:{SECRET}@a:1,b:2",
        f"redis+sentinel://u:{SECRET}@a:x/primary",
        f"redis+cluster://u:{SECRET}@a:1/1",
        f"redys://u:{SECRET}@h",
        f"http://u:{SECRET}@h",
        f"redis://u:{SECRET}/{SECRET}@h:1/0",
        f"redis://u:{SECRET}?{SECRET}@h:1/0",
        f"redis://u:{SECRET}#{SECRET}@h:1/0",
        f"redis://u:{SECRET}\u2100@h:1/0",
        f"redis://u:[{SECRET}@h:1/0",
        f"u:{SECRET}@h:1",
        "",
    ],
)
def test_a_wrong_url_is_told_in_one_line_without_the_password(url):
    with pytest.raises(ConfigError) as caught:
        open_transport(url, "shop")

    message = str(caught.value)
    assert SECRET not in message
    assert SECRET not in repr(caught.value)
    assert message.startswith("transport")
    assert "\n" not in message
    shown = caught.value.__cause__ or caught.value.__context__
    assert caught.value.__suppress_context__ or SECRET not in str(shown)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://u:{SECRET}@h",
        f"rediss://u:{SECRET}@h",
        f"unix://:{SECRET}@/run/r.sock",
        f"redis+sentinel://u:{SECRET}@a/primary",
        f"redis+sentinel://a/primary?sentinel_password={SECRET}",
    ],
)
async def test_no_password_is_shown_of_a_transport(url):
    transport = RedisTransport(url, "shop")
    shown = f"{transport!r} {transport.address} {transport.address!r}"
    assert SECRET not in shown
    await transport._link.close()
    await transport._reading_link.close()


async def test_tls_checks_the_certificate_and_the_name():
    client = connect(parse_address("rediss://h", NOTHING), 1, 1)
    assert client.connection_pool.connection_class is SSLConnection
    connection = client.connection_pool.make_connection()
    assert connection.ssl_context.check_hostname is True
    assert connection.ssl_context.cert_reqs.name == "CERT_REQUIRED"
    await client.aclose()


async def test_a_cluster_is_given_all_nodes():
    client = connect(parse_address("redis+cluster://a:1,b:2", NOTHING), 1, 1)
    assert isinstance(client, RedisCluster)
    assert {"a:1", "b:2"} == set(client.nodes_manager.startup_nodes)
    await client.aclose()


async def test_sentinels_that_cannot_be_reached_are_a_transport_error():
    transport = RedisTransport(
        "redis+sentinel://127.0.0.1:1,127.0.0.1:2/primary",
        "shop",
        config=RedisConfig(connect_within=0),
    )
    with pytest.raises(TransportError):
        await transport.open()
    await transport.close()


async def test_a_cluster_that_cannot_be_reached_is_a_transport_error():
    transport = RedisTransport(
        "redis+cluster://127.0.0.1:1", "shop", config=RedisConfig(connect_within=0)
    )
    with pytest.raises(TransportError):
        await transport.open()
    await transport.close()
