"""evmon works with exactly the permissions that it documents, and names missing ones."""

import re
from pathlib import Path

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

import evmon._transports.redis
from evmon import ConfigError, TransportError
from evmon._transports.base import Redelivery
from evmon._transports.redis.permissions import (
    NEEDED,
    OPTIONAL,
    TO_RUN_SCRIPTS,
    acl_rules,
    describe,
)


@pytest.fixture
def login(own_server):
    """Starts a server with a user who has the documented permissions, less some."""

    def make(*less, service="shop"):
        server = own_server()
        rules = [r for r in acl_rules(service) if r not in less]
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "app", "on", ">secret", *rules)
        url = f"redis://app:secret@127.0.0.1:{server.port}/0"
        return url, server.client()

    return make


async def test_everything_works_with_exactly_the_documented_permissions(make, login):
    url, client = login()
    with client:
        one = await make(url=url, lease=0.2, retention=0)
        two = await make(url=url, lease=0.2, retention=0)
        await one.publish([b"%d" % n for n in range(6)], ["a"] * 6, 1)
        first = (await read_all(one, 6))[:3]
        one.ack(first[0])
        await one.flush()
        assert await one.settle(first[1], [REASON])
        assert await one.settle(first[2], [Redelivery(0, 1, ())])
        await one._leases.renew()
        again = await read_all(two, 4)
        await two.release(again[:1])
        for received in again[1:]:
            two.ack(received)
        await two.flush()
        for transport in (one, two):
            await transport._maintenance.run_once()
            assert "" == transport._maintenance.problem

        assert (1, 1) == (client.xlen(DEAD), pending(client))


def test_the_documented_permissions_are_those_in_the_docs():
    text = (Path(__file__).parents[3] / "docs" / "reliability.md").read_text()

    assert " ".join(acl_rules("shop")) in " ".join(text.split())


def test_every_command_in_the_source_is_listed():
    folder = Path(evmon._transports.redis.__file__).parent
    sources = "\n".join(path.read_text() for path in folder.glob("*.py"))
    sent = set(re.findall(r'\(\s*(?:\*\()?"([A-Z]{3,})"', sources))
    listed = {name.partition("|")[0] for name in NEEDED | OPTIONAL}

    assert {"XACK", "XREADGROUP", "INFO"} <= sent
    options = {"BLOCK", "COUNT", "STREAMS", "NOGROUP", "BUSYGROUP", "WRONGTYPE"}
    assert set() == sent - listed - options - {"SENTINEL", "ASKING", "CLUSTER"}


async def test_a_missing_permission_is_named_at_the_start(make, login):
    url, client = login()
    with client:
        for missing in sorted(NEEDED - TO_RUN_SCRIPTS):
            rule = missing.lower()
            client.execute_command("ACL", "SETUSER", "app", f"-{rule}")
            with pytest.raises(ConfigError) as failure:
                await make(url=url)
            named = missing.replace("|", " ")
            assert (
                f"the Redis user may not use {named}; add to its ACL SETUSER: +{rule}"
                in str(failure.value)
            )
            client.execute_command("ACL", "SETUSER", "app", f"+{rule}")


async def test_scripts_and_keys_that_are_refused_are_named_at_the_start(make, login):
    url, client = login("+eval", "+evalsha")
    with client, pytest.raises(ConfigError, match="may not use EVAL, EVALSHA"):
        await make(url=url)
    url, client = login("~evmon:{shop}:*")
    with (
        client,
        pytest.raises(ConfigError, match=r"may not use keys evmon:\{shop\}:\*"),
    ):
        await make(url=url)


async def test_nothing_is_written_if_a_later_command_would_be_refused(
    make, login, measured
):
    url, client = login()
    with client:
        t = await make(url=url)
        await t.publish([b"a"] * 2)
        one, two = await read_all(t, 2)
        client.execute_command("ACL", "SETUSER", "app", "-xack", "-set")
        for _ in range(3):
            with pytest.raises(TransportError, match="XACK"):
                await t.settle(one, [REASON])
            with pytest.raises(TransportError, match="XACK"):
                await t.settle(two, [Redelivery(60, 1, ())])
            with pytest.raises(TransportError, match="SET"):
                await t.publish([b"b"], ["a"], 1)

        assert 0 == client.xlen(DEAD) == client.zcard(RETRY)
        assert 2 == client.xlen(STREAM)


async def test_a_retry_is_promoted_once_although_hdel_is_refused(make, login):
    url, client = login()
    with client:
        t = await make(url=url)
        await t.publish([b"a"])
        await t.settle((await read_all(t, 1))[0], [Redelivery(0, 1, ())])
        client.execute_command("ACL", "SETUSER", "app", "-hdel")
        for _ in range(3):
            with pytest.raises(TransportError, match="HDEL"):
                await t._reader.promote()

        assert (1, 1) == (client.xlen(STREAM), client.zcard(RETRY))


async def test_a_permission_withdrawn_later_makes_the_process_not_ready(
    make, login, running, caplog
):
    url, client = login()
    with client:
        t = await make(url=url, upkeep_interval=0.05, retention=0)
        await t.read(1, 0.01)
        running(t)
        client.execute_command("ACL", "SETUSER", "app", "-xtrim")
        await eventually(lambda: "XTRIM" in t.problem)
        assert 1 == caplog.text.count("the Redis user may not use XTRIM")

        client.execute_command("ACL", "SETUSER", "app", "+xtrim")
        await eventually(lambda: not t.problem)


async def test_a_server_that_refuses_info_and_role_works(make, login, caplog):
    url, client = login("+info", "+role")
    with client:
        t = await make(url=url)
        await t.publish([b"a"])
        t.ack((await read_all(t, 1))[0])
        await t._maintenance.run_once()

        assert "" == t._maintenance.problem
    (line,) = (r.getMessage() for r in caplog.records if "INFO" in r.getMessage())
    assert "unknown" in line


async def test_a_server_without_info_and_config_works(make, own_server):
    server = own_server(
        "--rename-command", "INFO", "", "--rename-command", "CONFIG", ""
    )
    t = await make(url=server.url)
    await t.publish([b"a"])
    t.ack((await read_all(t, 1))[0])
    await t._maintenance.run_once()

    assert "" == t._maintenance.problem


def test_nothing_is_said_if_nothing_is_missing():
    assert "" == describe([], "shop")
