"""The primary is found when it is needed, and anew after it was lost or has changed."""

import asyncio

import pytest
from redis.asyncio import SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from tests.transports.redis.entries import REASON, STREAM, read_all
from tests.waiting import eventually, let_tasks_run

from evmon import RedisConfig, TransportError
from evmon._transports.redis import dial
from evmon._transports.redis.address import parse_address
from evmon._transports.redis.primary import Primary, ask_all
from evmon._transports.redis.sentinels import Opinion, _opinion

ONE, OTHER = ("one", 1), ("other", 2)


class ListedServers:
    """A finder that returns the servers of a list in turn, and raises what is an error."""

    def __init__(self, *servers, check_interval=None):
        self.servers = list(servers)
        self.check_interval = check_interval
        self.lost = []

    async def find(self, lost, within):
        self.lost.append(lost)
        await asyncio.sleep(0)
        found = self.servers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def close(self):
        pass


async def test_concurrent_calls_look_the_primary_up_once(clock):
    primary = Primary(ListedServers(ONE), 5, clock)

    assert [ONE] * 3 == await asyncio.gather(*(primary.server() for _ in range(3)))


async def test_a_lost_primary_is_looked_up_with_the_name_of_the_lost_one(clock):
    finder = ListedServers(ONE, OTHER)
    primary = Primary(finder, 5, clock)
    await primary.server()
    primary.lose(primary.generation)

    assert OTHER == await primary.server()
    assert [None, ONE] == finder.lost
    assert 1 == primary.generation


async def test_connections_that_fail_together_lose_the_primary_once(clock):
    primary = Primary(ListedServers(ONE), 5, clock)
    before = primary.generation
    for _ in range(3):
        primary.lose(before)

    assert before + 1 == primary.generation


async def test_a_primary_that_moves_to_where_it_is_keeps_its_connections(clock):
    primary = Primary(ListedServers(ONE), 5, clock)
    await primary.server()
    primary.move(ONE)
    assert 0 == primary.generation
    primary.move(OTHER)
    assert 1 == primary.generation


async def test_a_primary_is_confirmed_after_the_interval(clock):
    primary = Primary(ListedServers(ONE, OTHER, check_interval=1), 5, clock)
    await primary.server()
    assert not primary.needs_check
    await clock.advance(1.1)
    assert primary.needs_check
    await primary.confirm()

    assert OTHER == await primary.server()
    assert (False, 1) == (primary.needs_check, primary.generation)


async def test_a_primary_that_nobody_confirms_stays_the_primary(clock):
    finder = ListedServers(ONE, RedisConnectionError("no"), check_interval=1)
    primary = Primary(finder, 5, clock)
    await primary.server()
    await clock.advance(1.1)
    await primary.confirm()

    assert ONE == await primary.server()
    assert (False, 0) == (primary.needs_check, primary.generation)


async def test_concurrent_calls_confirm_the_primary_once(clock):
    primary = Primary(ListedServers(ONE, ONE, check_interval=1), 5, clock)
    await primary.server()
    await clock.advance(1.1)
    await asyncio.gather(*(primary.confirm() for _ in range(3)))

    assert 0 == primary.generation


async def test_the_first_answers_suffice():
    async def ask(server):
        if server == OTHER:
            await asyncio.Event().wait()
        return server

    assert [ONE] == await ask_all(ask, [OTHER, ONE], 1, 5)


async def test_late_answers_are_waited_for_a_moment():
    late = asyncio.Event()

    async def ask(server):
        if server == OTHER:
            await late.wait()
        return server

    asking = asyncio.create_task(ask_all(ask, [OTHER, ONE], 1, 5, grace=3))
    await let_tasks_run()
    late.set()

    assert [ONE, OTHER] == await asking


async def test_no_answer_is_an_error_that_names_the_reasons():
    async def ask(server):
        if server == OTHER:
            await asyncio.Event().wait()
        raise RedisConnectionError("refused")

    with pytest.raises(RedisConnectionError) as caught:
        await ask_all(ask, [ONE, OTHER], 2, 0.05)

    assert "one:1: refused; other:2: no answer within 0.05 s" == str(caught.value)


STATE = [b"ip", b"one", b"port", b"1", b"config-epoch", b"7", b"flags"]


@pytest.mark.parametrize(
    ("address", "flags", "expected"),
    [
        ([b"one", b"1"], b"master", (7, ONE, False)),
        ([b"one", b"1"], b"s_down,master", (7, ONE, True)),
        ([b"one", b"1"], b"s_down,o_down,master", (7, ONE, True)),
        ([b"other", b"2"], b"s_down,master,failover_in_progress", (7, OTHER, False)),
    ],
)
def test_a_sentinel_says_which_server_is_the_primary(address, flags, expected):
    assert Opinion(*expected) == _opinion(address, [*STATE, flags])


async def test_a_settlement_on_a_server_that_is_not_the_primary_is_not_believed(
    make, own_server
):
    primary = own_server("--repl-diskless-sync-delay", "0")
    replica = own_server("--replicaof", "127.0.0.1", str(primary.port))
    t = await make(primary.url)
    await t.publish([b"a"])
    (received,) = await read_all(t, 1)
    with primary.client() as client, replica.client() as copy:
        client.xclaim(STREAM, "shop", "other", 0, [received.id])
        await eventually(lambda: copy.exists(STREAM), 10)
        client.wait(1, 5000)
    t._primary.move(("127.0.0.1", replica.port))

    with pytest.raises(TransportError, match="another server is the primary"):
        await t.settle(received, [REASON])
    assert not await t.settle(received, [REASON])


async def test_tls_checks_certificate_and_host_name(monkeypatch):
    opened = []

    class Unconnected(SSLConnection):
        async def connect(self):
            opened.append(self)

    monkeypatch.setattr(dial, "SSLConnection", Unconnected)
    await dial.dial(parse_address("rediss://h", RedisConfig()), 1)(("h", 1))

    (connection,) = opened
    assert connection.ssl_context.check_hostname is True
    assert "CERT_REQUIRED" == connection.ssl_context.cert_reqs.name
