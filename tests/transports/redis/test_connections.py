"""Exchanges over the connections to the primary."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ResponseError
from tests.waiting import eventually, let_tasks_run

from evmon import RedisConfig
from evmon._clock import SYSTEM_CLOCK
from evmon._transports.redis.address import parse_address
from evmon._transports.redis.connections import Connections
from evmon._transports.redis.dial import dial
from evmon._transports.redis.errors import FAILURES
from evmon._transports.redis.topology import primary_of

ID = ("CLIENT", "ID")


@asynccontextmanager
async def connected_to(url):
    address = parse_address(url, RedisConfig())
    primary = primary_of(address, "key", 5, SYSTEM_CLOCK)
    connections = Connections(dial(address, 5), primary)
    try:
        yield connections
    finally:
        await connections.close()


@pytest.fixture
async def connections(server):
    async with connected_to(server.url) as made:
        yield made


async def test_replies_are_in_the_order_of_the_commands(connections):
    assert [b"0", b"1", b"2"] == await connections.exchange(
        [("ECHO", n) for n in range(3)]
    )


async def test_an_error_is_returned_in_its_place(connections):
    before, error, after = await connections.exchange(
        [("ECHO", "a"), ("XADD", "s", "nonsense", "f", "v"), ("ECHO", "b")]
    )

    assert (b"a", b"b") == (before, after)
    assert isinstance(error, ResponseError)
    assert [b"c"] == await connections.exchange([("ECHO", "c")])


async def test_a_connection_is_reused(connections):
    assert await connections.exchange([ID]) == await connections.exchange([ID])


async def test_the_late_reply_to_a_cancelled_command_is_discarded(connections):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(connections.exchange([("BLPOP", "nothing", 0.3)]), 0.1)
    await asyncio.sleep(0.4)

    assert [b"next"] == await connections.exchange([("ECHO", "next")])


async def test_a_broken_connection_fails_once_and_is_reopened(own_server):
    server = own_server()
    async with connected_to(server.url) as connections:
        await connections.exchange([("ECHO", "a")])
        server.restart()
        with pytest.raises(FAILURES):
            await connections.exchange([("ECHO", "b")])

        assert [b"c"] == await connections.exchange([("ECHO", "c")])


async def test_a_server_that_was_down_is_connected_to_later(own_server):
    server = own_server()
    server.stop()
    async with connected_to(server.url) as connections:
        with pytest.raises(FAILURES):
            await connections.exchange([("ECHO", "a")])
        server.start()

        assert [b"b"] == await connections.exchange([("ECHO", "b")])


async def test_a_connection_of_before_the_primary_changed_is_closed(
    server, connections
):
    (before,) = await connections.exchange([ID])
    connections.primary.lose(connections.primary.generation)

    assert [before] != await connections.exchange([ID])
    with server.client() as client:
        assert str(before) not in {c["id"] for c in client.client_list()}


async def test_a_connection_in_use_while_the_primary_changes_is_closed_afterwards(
    server, connections
):
    running = asyncio.create_task(connections.exchange([ID, ("BLPOP", "nothing", 0.2)]))
    with server.client() as client:
        await eventually(lambda: client.info("clients")["blocked_clients"])
    connections.primary.lose(connections.primary.generation)
    before, _ = await running

    assert [before] != await connections.exchange([ID])


async def test_a_failure_of_an_outdated_connection_does_not_drop_the_new_ones(
    connections,
):
    running = asyncio.create_task(connections.exchange([("BLPOP", "nothing", 0.2)]))
    await let_tasks_run()
    connections.primary.lose(connections.primary.generation)
    generation = connections.primary.generation
    connections.primary.lose(generation - 1)
    await running

    assert generation == connections.primary.generation


async def test_no_connection_is_left_open_when_the_client_closes(own_server):
    server = own_server()
    async with connected_to(server.url) as connections:
        await connections.exchange([("ECHO", "a")])

    with server.client() as client:
        assert 1 == len(client.client_list())
