"""Users test their handlers on the real bus, and see what became of the events."""

import pytest

from evmon import EventBus, InvalidEventError, Reject, RetryLater, RetryPolicy
from evmon import testing as public
from evmon.testing import dead_letters, make_event, settled


async def test_settled_waits_for_retries_too():
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


async def test_settled_says_what_is_left():
    async def later(event):
        raise RetryLater(60)

    bus = EventBus()
    bus.add_handler("a", later)
    async with bus:
        await bus.publish("a")
        with pytest.raises(TimeoutError, match="1 events or providers are not done"):
            await settled(bus, 0.1)


async def test_dead_letters_are_seen_after_the_bus_stopped():
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


async def test_other_transports_are_not_looked_into(server):
    bus = EventBus(transport=server.url)
    async with bus:
        with pytest.raises(RuntimeError, match="needs a bus on memory://"):
            dead_letters(bus)


def test_an_event_is_made_with_little():
    event = make_event("order.created", {"id": 7})

    assert ("test", {"id": 7}) == (event.source, event.data)
    assert event.id != make_event("order.created").id
    with pytest.raises(InvalidEventError):
        make_event("no such type")


def test_the_public_names_are_these():
    assert ["DeadLetter", "dead_letters", "make_event", "settled"] == public.__all__
