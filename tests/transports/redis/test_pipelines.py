"""Pipelines over a dedicated connection and over redis-py's own."""

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
async def pipelines_to(url, kind=DedicatedConnection):
    client = connect(parse_address(url, RedisConfig()), 5, 5)
    try:
        yield kind(client)
    finally:
        await client.aclose()


@pytest.fixture(params=[DedicatedConnection, ClusterPipelines])
async def pipelines(server, request):
    async with pipelines_to(server.url, request.param) as made:
        yield made


@pytest.fixture
async def dedicated(server):
    async with pipelines_to(server.url) as made:
        yield made


async def test_replies_are_in_the_order_of_the_commands(pipelines):
    assert [b"0", b"1", b"2"] == await pipelines.exchange(
        [("ECHO", n) for n in range(3)]
    )


async def test_an_error_is_returned_in_its_place(pipelines):
    before, error, after = await pipelines.exchange(
        [("ECHO", "a"), ("XADD", "s", "nonsense", "f", "v"), ("ECHO", "b")]
    )

    assert (b"a", b"b") == (before, after)
    assert isinstance(error, ResponseError)
    assert [b"c"] == await pipelines.exchange([("ECHO", "c")])


async def test_a_dedicated_connection_is_reused(dedicated):
    assert await dedicated.exchange([ID]) == await dedicated.exchange([ID])


async def test_the_late_reply_to_a_cancelled_command_is_discarded(pipelines):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(pipelines.exchange([("BLPOP", "nothing", 0.3)]), 0.1)
    await asyncio.sleep(0.4)

    assert [b"next"] == await pipelines.exchange([("ECHO", "next")])


async def test_a_broken_connection_fails_once_and_is_reopened(own_server):
    server = own_server()
    async with pipelines_to(server.url) as pipelines:
        await pipelines.exchange([("ECHO", "a")])
        server.restart()
        with pytest.raises(FAILURES):
            await pipelines.exchange([("ECHO", "b")])

        assert [b"c"] == await pipelines.exchange([("ECHO", "c")])


@pytest.mark.parametrize("kind", [DedicatedConnection, ClusterPipelines])
async def test_a_server_that_was_down_is_connected_to_later(own_server, kind):
    server = own_server()
    server.stop()
    async with pipelines_to(server.url, kind) as pipelines:
        with pytest.raises(FAILURES):
            await pipelines.exchange([("ECHO", "a")])
        server.start()

        assert [b"b"] == await pipelines.exchange([("ECHO", "b")])


async def test_a_closed_connection_is_replaced_by_a_new_one(dedicated):
    (before,) = await dedicated.exchange([ID])
    await dedicated.leave()

    assert [before] != await dedicated.exchange([ID])


async def test_leave_before_the_first_use_does_nothing(pipelines):
    await pipelines.leave()

    assert [b"a"] == await pipelines.exchange([("ECHO", "a")])


async def test_no_connection_is_left_open_when_the_client_closes(own_server):
    server = own_server()
    async with pipelines_to(server.url) as pipelines:
        await pipelines.exchange([("ECHO", "a")])

    with server.client() as client:
        assert 1 == len(client.client_list())
