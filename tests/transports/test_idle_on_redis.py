"""An idle reader reads rarely, and is on time nevertheless."""

import asyncio
import time

import pytest
from tests.waiting import eventually

from evmon import EventBus, RetryLater


def reads(client):
    stats = client.info("commandstats")
    return stats.get("cmdstat_xreadgroup", {"calls": 0})["calls"]


@pytest.mark.slow
@pytest.mark.serial
async def test_an_idle_reader_reads_rarely_and_gets_a_new_event_at_once(server):
    handled = []
    bus = EventBus("shop", server.url)
    bus.add_handler("a", lambda event: handled.append(time.monotonic()))
    async with bus:
        await asyncio.sleep(1)
        with server.client() as client:
            before = reads(client)
            await asyncio.sleep(3)
            assert 8 >= reads(client) - before
        published = time.monotonic()
        await bus.publish("a")
        await eventually(lambda: handled)
        assert 0.3 > handled[0] - published
        stopped = time.monotonic()
    assert 2 > time.monotonic() - stopped


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.parametrize("delay", [1.1, 1.6])
async def test_a_scheduled_retry_is_on_time_for_an_idle_reader(server, delay):
    attempts = []

    def handle(event):
        attempts.append(time.monotonic())
        if len(attempts) == 1:
            raise RetryLater(delay)

    bus = EventBus("shop", server.url)
    bus.add_handler("a", handle)
    async with bus:
        await asyncio.sleep(1.5)
        await bus.publish("a")
        await eventually(lambda: len(attempts) == 2)
    assert delay - 0.05 <= attempts[1] - attempts[0] < delay + 0.4
