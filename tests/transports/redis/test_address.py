"""The URL of a server is parsed, and its password is never shown."""

import asyncio
import logging

import pytest

from evmon import ConfigError, RedisConfig, TransportError
from evmon._settings.settings import Settings
from evmon._transports import check_transport
from evmon._transports.redis import RedisTransport
from evmon._transports.redis.address import parse_address

DEFAULTS = RedisConfig()


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
def test_a_url_is_parsed(url, expected):
    address = parse_address(url, DEFAULTS)

    assert expected == {name: getattr(address, name) for name in expected}


def test_the_login_of_the_configuration_replaces_that_of_the_url():
    config = RedisConfig(username="cu", password="cp")
    address = parse_address("redis://u:p@h?password=q", config)

    assert ("cu", "cp") == (address.username, address.password)


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
def test_an_invalid_url_is_a_one_line_error_without_the_password(url):
    with pytest.raises(ConfigError) as caught:
        check_transport(Settings(transport=url))

    message = str(caught.value)
    assert SECRET not in message
    assert SECRET not in repr(caught.value)
    assert message.removeprefix("EventBus.").startswith("transport")
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
async def test_no_representation_of_a_transport_contains_a_password(url):
    transport = RedisTransport(url, "shop")
    shown = f"{transport!r} {transport.address} {transport.address!r}"
    assert SECRET not in shown
    await transport._client.close()
    await transport._reading_client.close()


async def test_unreachable_sentinels_are_a_transport_error():
    transport = RedisTransport(
        "redis+sentinel://127.0.0.1:1,127.0.0.1:2/primary",
        "shop",
        config=RedisConfig(connect_within=0),
    )
    with pytest.raises(TransportError):
        await transport.open()
    await transport.close()


async def test_an_unreachable_cluster_is_a_transport_error():
    transport = RedisTransport(
        "redis+cluster://127.0.0.1:1", "shop", config=RedisConfig(connect_within=0)
    )
    with pytest.raises(TransportError):
        await transport.open()
    await transport.close()


@pytest.mark.parametrize("password", ["hunter2", "p%40ss%2Fword"])
async def test_a_refused_connection_is_an_error_without_the_password(
    measured, caplog, password
):
    caplog.set_level(logging.DEBUG)
    t = RedisTransport(
        f"redis://user:{password}@127.0.0.1:1/0",
        "shop",
        config=RedisConfig(connect_within=0.01),
    )
    with pytest.raises(TransportError) as caught:
        await t.open()
    with pytest.raises(TransportError) as published:
        await t.publish([b"a"])
    assert t.problem
    await t.close()

    shown = [repr(t), str(t.address), repr(t.address), repr(t._config), caplog.text]
    shown += [str(e.value) + repr(e.value) for e in (caught, published)]
    for secret in (password, "p@ss/word"):
        assert not [text for text in shown if secret in text]
    assert "127.0.0.1:1" in str(caught.value)


async def test_a_wrong_password_is_an_error_that_does_not_contain_it(
    own_server, caplog
):
    caplog.set_level(logging.DEBUG)
    server = own_server("--requirepass", "right-one")
    config = RedisConfig(password="wrong-one")
    assert "wrong-one" not in repr(config)
    t = RedisTransport(server.url, "shop", config=config)
    with pytest.raises(ConfigError, match="EVMON_REDIS_PASSWORD") as caught:
        await asyncio.wait_for(t.open(), config.connect_within / 2)
    await t.close()

    assert "wrong-one" not in f"{caught.value!r} {caught.value} {caplog.text} {t!r}"


async def test_a_password_is_taken_from_the_url_or_the_configuration(own_server):
    server = own_server("--requirepass", "p@ss/word")
    url = server.url.replace("//", "//:p%40ss%2Fword@")
    for transport in (
        RedisTransport(url, "shop"),
        RedisTransport(server.url, "shop", config=RedisConfig(password="p@ss/word")),
    ):
        await transport.open()
        await transport.publish([b"a"])
        await transport.close()


async def test_a_server_is_reached_by_a_unix_socket(own_server, tmp_path):
    path = tmp_path / "redis.sock"
    own_server("--unixsocket", str(path))
    t = RedisTransport(f"unix://{path}?db=1", "shop")
    await t.open()
    await t.publish([b"a"])
    assert 1 == len(await t.read(1, 0.01))
    assert f"RedisTransport('unix://{path}')" == repr(t)
    await t.close()
