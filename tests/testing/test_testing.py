"""evmon.testing: reading dead letters, making events."""

import pytest

from evmon import EventBus, InvalidEventError, Reject, RetryPolicy, testing
from evmon.testing import dead_letters, make_event


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
    assert (
        *("Clock", "DeadLetter", "Handled", "History", "VirtualClock"),
        *("dead_letters", "make_event", "record", "settled"),
    ) == tuple(testing.__all__)
