"""The queue hands out items in batches and knows which are still pending."""

import asyncio

import pytest

from evmon._discovery.queue import EXPECTED_WITHIN, Item, ProviderQueue
from evmon._telemetry import instruments as i
from evmon._telemetry.recorders import DiscoveryRecorder


@pytest.fixture
def queue(measured, clock):
    return ProviderQueue(DiscoveryRecorder(measured.meter), clock)


async def test_items_are_taken_in_batches_and_stay_pending(queue, measured):
    items = [Item(number) for number in range(3)]
    for item in items:
        queue.put(item)

    assert items[:2] == await queue.take(2)
    assert items[2:] == await queue.take(2)
    assert 3 == len(queue)
    assert 3 == measured.total(i.DISCOVERY_QUEUE_SIZE)


async def test_an_item_put_by_another_thread_wakes_the_taker(queue):
    taking = asyncio.create_task(queue.take(1))
    await queue.wait_until_quiet()
    item = Item("shop")
    await asyncio.to_thread(queue.put, item)

    assert [item] == await taking


async def test_a_settled_item_is_not_pending(queue, measured):
    item = Item("shop")
    queue.put(item)

    assert queue.settle(item, "empty")
    assert item not in queue
    assert 0 == measured.total(i.DISCOVERY_QUEUE_SIZE)


async def test_a_withdrawn_item_cannot_be_settled(queue):
    item = Item(object())
    queue.put(item)
    queue.withdraw(item.subject)

    assert [] == queue.subjects
    assert not queue.settle(item, "registered")


async def test_a_retried_item_is_counted_once(queue, measured):
    item = Item("shop")
    queue.put(item)
    item.attempts = 1
    queue.put(item)

    assert 1 == len(queue)
    assert 1 == measured.total(i.DISCOVERY_QUEUE_SIZE)


async def test_handlers_are_expected_only_from_recent_items(queue, clock):
    assert not queue.expects_more
    queue.put(Item("shop"))
    assert queue.expects_more
    clock.now += EXPECTED_WITHIN
    assert not queue.expects_more


async def test_clearing_withdraws_all_items(queue, measured):
    queue.put(Item("shop"))
    queue.clear()

    assert 0 == len(queue)
    assert 0 == measured.total(i.DISCOVERY_QUEUE_SIZE)
