"""What a consumer takes over from another one, and what it leaves alone."""

import asyncio

import pytest

from evmon import RedisConfig
from evmon._transports.base import DeadLetter
from evmon._transports.redis import RedisTransport

STREAM = "evmon:{shop}:events"
EVENTS = [b"one", b"two", b"three"]


@pytest.fixture
async def transport(server):
    opened = []

    async def make(lease):
        made = RedisTransport(server.url, "shop", config=RedisConfig(lease=lease))
        await made.open()
        opened.append(made)
        return made

    yield make
    for made in opened:
        await made.close()


async def test_what_was_trimmed_under_a_living_consumer_stays_its_own(
    transport, client, caplog
):
    one, other = await transport(30), await transport(30)
    await one.publish(EVENTS)
    assert 3 == len(await one.read(10, 0.1))
    client.xtrim(STREAM, maxlen=0)

    assert [] == await other.read(10, 0.01)

    assert 3 == client.xpending(STREAM, "shop")["pending"]
    assert "lost" not in caplog.text


async def test_what_was_trimmed_under_a_silent_consumer_is_told_as_lost(
    transport, client, caplog
):
    one, other = await transport(0.1), await transport(0.1)
    await one.publish(EVENTS)
    await one.read(10, 0.1)
    client.xtrim(STREAM, maxlen=1, approximate=False)
    await asyncio.sleep(0.15)

    assert [b"three"] == [received.raw for received in await other.read(10, 0.01)]

    assert "lost 2 events: trimmed" in caplog.text
    assert 1 == client.xpending(STREAM, "shop")["pending"]


async def test_what_was_trimmed_while_our_own_lease_ran_out_can_still_be_settled(
    transport, client, caplog
):
    one = await transport(0.1)
    await one.publish([b"one"])
    (received,) = await one.read(10, 0.1)
    client.xtrim(STREAM, maxlen=0)
    await asyncio.sleep(0.15)

    assert [] == await one.read(10, 0.01)

    assert await one.settle(received, DeadLetter("rejected"), None)
    assert 1 == client.xlen("evmon:{shop}:dead")
    assert "lost" not in caplog.text


async def test_all_of_a_silent_consumer_is_taken_over_page_by_page(transport):
    one, other = await transport(0.1), await transport(0.1)
    await one.publish(EVENTS)
    await one.read(10, 0.1)
    await asyncio.sleep(0.15)

    pages = [await other.read(2, 0.01), await other.read(2, 0.01)]

    assert [EVENTS[:2], EVENTS[2:]] == [[r.raw for r in page] for page in pages]
    assert [2, 2, 2] == [r.deliveries for page in pages for r in page]
