"""Exchanges over the connections to the primary."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ResponseError
from tests.waiting import eventually, let_tasks_run

from evmon import RedisConfig
from evmon._clock import SYSTEM_CLOCK
from evmon._transports.redis.address import parse_address
from evmon._transports.redis.connections import dial
from evmon._transports.redis.errors import FAILURES
from evmon._transports.redis.link import Link
from evmon._transports.redis.topology import primary_of

ID = ("CLIENT", "ID")


@asynccontextmanager
async def link_to(url):
    address = parse_address(url, RedisConfig())
    primary = primary_of(address, "key", 5, SYSTEM_CLOCK)
    link = Link(dial(address, 5), primary)
    try:
        yield link
    finally:
        await link.close()


@pytest.fixture
async def link(server):
    async with link_to(server.url) as made:
        yield made


async def test_replies_are_in_the_order_of_the_commands(link):
    assert [b"0", b"1", b"2"] == await link.exchange([("ECHO", n) for n in range(3)])


async def test_an_error_is_returned_in_its_place(link):
    before, error, after = await link.exchange(
        [("ECHO", "a"), ("XADD", "s", "nonsense", "f", "v"), ("ECHO", "b")]
    )

    assert (b"a", b"b") == (before, after)
    assert isinstance(error, ResponseError)
    assert [b"c"] == await link.exchange([("ECHO", "c")])


async def test_a_connection_is_reused(link):
    assert await link.exchange([ID]) == await link.exchange([ID])


async def test_the_late_reply_to_a_cancelled_command_is_discarded(link):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(link.exchange([("BLPOP", "nothing", 0.3)]), 0.1)
    await asyncio.sleep(0.4)

    assert [b"next"] == await link.exchange([("ECHO", "next")])


async def test_a_broken_connection_fails_once_and_is_reopened(own_server):
    server = own_server()
    async with link_to(server.url) as link:
        await link.exchange([("ECHO", "a")])
        server.restart()
        with pytest.raises(FAILURES):
            await link.exchange([("ECHO", "b")])

        assert [b"c"] == await link.exchange([("ECHO", "c")])


async def test_a_server_that_was_down_is_connected_to_later(own_server):
    server = own_server()
    server.stop()
    async with link_to(server.url) as link:
        with pytest.raises(FAILURES):
            await link.exchange([("ECHO", "a")])
        server.start()

        assert [b"b"] == await link.exchange([("ECHO", "b")])


async def test_a_connection_of_before_the_primary_changed_is_closed(server, link):
    (before,) = await link.exchange([ID])
    link.primary.lose(link.primary.generation)

    assert [before] != await link.exchange([ID])
    with server.client() as client:
        assert str(before) not in {c["id"] for c in client.client_list()}


async def test_a_connection_in_use_while_the_primary_changes_is_closed_afterwards(
    server, link
):
    running = asyncio.create_task(link.exchange([ID, ("BLPOP", "nothing", 0.2)]))
    with server.client() as client:
        await eventually(lambda: client.info("clients")["blocked_clients"])
    link.primary.lose(link.primary.generation)
    before, _ = await running

    assert [before] != await link.exchange([ID])


async def test_a_failure_of_an_outdated_connection_does_not_drop_the_new_ones(link):
    running = asyncio.create_task(link.exchange([("BLPOP", "nothing", 0.2)]))
    await let_tasks_run()
    link.primary.lose(link.primary.generation)
    generation = link.primary.generation
    link.primary.lose(generation - 1)
    await running

    assert generation == link.primary.generation


async def test_no_connection_is_left_open_when_the_client_closes(own_server):
    server = own_server()
    async with link_to(server.url) as link:
        await link.exchange([("ECHO", "a")])

    with server.client() as client:
        assert 1 == len(client.client_list())
