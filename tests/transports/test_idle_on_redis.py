"""A reader that has nothing to do asks seldom, and still is never late."""

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
async def test_an_idle_reader_asks_seldom_and_a_new_event_wakes_it(server):
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
async def test_a_scheduled_retry_is_not_late_for_an_idle_reader(server, delay):
    tries = []

    def handle(event):
        tries.append(time.monotonic())
        if len(tries) == 1:
            raise RetryLater(delay)

    bus = EventBus("shop", server.url)
    bus.add_handler("a", handle)
    async with bus:
        await asyncio.sleep(1.5)
        await bus.publish("a")
        await eventually(lambda: len(tries) == 2)
    assert delay - 0.05 <= tries[1] - tries[0] < delay + 0.4
