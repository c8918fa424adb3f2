"""Batches of commands: over a connection that is kept, and over redis-py's pipelines."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ResponseError

from evmon import RedisConfig
from evmon._transports.redis.address import connect, parse_address
from evmon._transports.redis.errors import FAILURES
from evmon._transports.redis.pipelines import ClusterPipelines, DedicatedConnection

ID = ("CLIENT", "ID")


@asynccontextmanager
async def line_to(url, kind=DedicatedConnection):
    client = connect(parse_address(url, RedisConfig()), 5, 5)
    try:
        yield kind(client)
    finally:
        await client.aclose()


@pytest.fixture(params=[DedicatedConnection, ClusterPipelines])
async def line(server, request):
    async with line_to(server.url, request.param) as made:
        yield made


@pytest.fixture
async def kept(server):
    async with line_to(server.url) as made:
        yield made


async def test_replies_are_in_the_order_of_the_commands(line):
    assert [b"0", b"1", b"2"] == await line.exchange([("ECHO", n) for n in range(3)])


async def test_an_error_is_returned_in_its_place(line):
    before, error, after = await line.exchange(
        [("ECHO", "a"), ("XADD", "s", "nonsense", "f", "v"), ("ECHO", "b")]
    )

    assert (b"a", b"b") == (before, after)
    assert isinstance(error, ResponseError)
    assert [b"c"] == await line.exchange([("ECHO", "c")])


async def test_a_dedicated_connection_is_reused(kept):
    assert await kept.exchange([ID]) == await kept.exchange([ID])


async def test_the_late_reply_to_a_cancelled_command_is_discarded(line):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(line.exchange([("BLPOP", "nothing", 0.3)]), 0.1)
    await asyncio.sleep(0.4)

    assert [b"next"] == await line.exchange([("ECHO", "next")])


async def test_a_broken_connection_fails_once_and_is_reopened(own_server):
    server = own_server()
    async with line_to(server.url) as line:
        await line.exchange([("ECHO", "a")])
        server.restart()
        with pytest.raises(FAILURES):
            await line.exchange([("ECHO", "b")])

        assert [b"c"] == await line.exchange([("ECHO", "c")])


@pytest.mark.parametrize("kind", [DedicatedConnection, ClusterPipelines])
async def test_a_server_that_was_down_is_connected_to_later(own_server, kind):
    server = own_server()
    server.stop()
    async with line_to(server.url, kind) as line:
        with pytest.raises(FAILURES):
            await line.exchange([("ECHO", "a")])
        server.start()

        assert [b"b"] == await line.exchange([("ECHO", "b")])


async def test_a_closed_connection_is_replaced_by_a_new_one(kept):
    (before,) = await kept.exchange([ID])
    await kept.leave()

    assert await kept.exchange([ID]) != [before]


async def test_leave_before_the_first_use_does_nothing(line):
    await line.leave()

    assert [b"a"] == await line.exchange([("ECHO", "a")])


async def test_no_connection_is_left_open_when_the_client_closes(own_server):
    server = own_server()
    async with line_to(server.url) as line:
        await line.exchange([("ECHO", "a")])

    with server.client() as client:
        assert 1 == len(client.client_list())
