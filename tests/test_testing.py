"""evmon.testing: waiting for events, reading dead letters, making events."""

import pytest

from evmon import EventBus, InvalidEventError, Reject, RetryLater, RetryPolicy, testing
from evmon.testing import dead_letters, make_event, settled


async def test_settled_waits_for_retries():
    calls = []

    async def flaky(event):
        calls.append(event.id)
        if len(calls) < 3:
            raise RetryLater(0.02)

    bus = EventBus()
    bus.add_handler("a", flaky)
    async with bus:
        await bus.publish("a")
        await settled(bus)
        assert 3 == len(calls)


async def test_settled_waits_for_providers():
    async def handle(event): ...

    bus = EventBus()
    async with bus:
        bus.register(handle)
        await settled(bus)
        assert 0 == bus.discovery.pending


async def test_settled_reports_what_is_unfinished_at_its_timeout():
    async def later(event):
        raise RetryLater(60)

    bus = EventBus()
    bus.add_handler("a", later)
    async with bus:
        await bus.publish("a")
        with pytest.raises(TimeoutError, match="1 events or providers are not done"):
            await settled(bus, 0.1)


async def test_dead_letters_can_be_read_after_the_bus_stopped():
    async def handle(event):
        raise Reject("no such order")

    bus = EventBus(retry=RetryPolicy(base_delay=0))
    bus.add_handler("a", handle)
    async with bus:
        event = await bus.publish("a")
    (letter,) = dead_letters(bus)

    assert ("rejected", "a", event.id) == (
        letter.reason,
        letter.event_type,
        letter.event_id,
    )
    assert "no such order" == letter.error_message


async def test_dead_letters_needs_the_memory_transport(server):
    bus = EventBus(transport=server.url)
    async with bus:
        with pytest.raises(RuntimeError, match="needs a bus on memory://"):
            dead_letters(bus)


def test_make_event_needs_only_a_type():
    event = make_event("order.created", {"id": 7})

    assert ("test", {"id": 7}) == (event.source, event.data)
    assert event.id != make_event("order.created").id
    with pytest.raises(InvalidEventError):
        make_event("no such type")


def test_the_public_names_are_complete():
    assert ["DeadLetter", "dead_letters", "make_event", "settled"] == testing.__all__
