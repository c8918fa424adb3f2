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


async def test_replies_come_in_the_order_of_their_commands(line):
    assert [b"0", b"1", b"2"] == await line.exchange([("ECHO", n) for n in range(3)])


async def test_an_error_stands_in_its_place_and_the_rest_is_answered(line):
    before, error, after = await line.exchange(
        [("ECHO", "a"), ("XADD", "s", "nonsense", "f", "v"), ("ECHO", "b")]
    )

    assert (b"a", b"b") == (before, after)
    assert isinstance(error, ResponseError)
    assert [b"c"] == await line.exchange([("ECHO", "c")])


async def test_the_connection_is_kept(kept):
    assert await kept.exchange([ID]) == await kept.exchange([ID])


async def test_a_reply_that_was_given_up_answers_nothing_else(line):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(line.exchange([("BLPOP", "nothing", 0.3)]), 0.1)
    await asyncio.sleep(0.4)

    assert [b"next"] == await line.exchange([("ECHO", "next")])


async def test_a_connection_that_broke_is_told_once_and_made_again(own_server):
    server = own_server()
    async with line_to(server.url) as line:
        await line.exchange([("ECHO", "a")])
        server.restart()
        with pytest.raises(FAILURES):
            await line.exchange([("ECHO", "b")])

        assert [b"c"] == await line.exchange([("ECHO", "c")])


@pytest.mark.parametrize("kind", [DedicatedConnection, ClusterPipelines])
async def test_a_server_that_is_not_there_yet_is_asked_again(own_server, kind):
    server = own_server()
    server.stop()
    async with line_to(server.url, kind) as line:
        with pytest.raises(FAILURES):
            await line.exchange([("ECHO", "a")])
        server.start()

        assert [b"b"] == await line.exchange([("ECHO", "b")])


async def test_after_leaving_another_connection_is_made(kept):
    (before,) = await kept.exchange([ID])
    await kept.leave()

    assert [before] != await kept.exchange([ID])


async def test_leaving_before_the_first_use_is_nothing(line):
    await line.leave()

    assert [b"a"] == await line.exchange([("ECHO", "a")])


async def test_no_connection_is_left_when_the_client_closes(own_server):
    server = own_server()
    async with line_to(server.url) as line:
        await line.exchange([("ECHO", "a")])

    with server.client() as client:
        assert 1 == len(client.client_list())
