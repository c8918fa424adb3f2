"""The history of a bus: what was published, and how each handler ended."""

import pytest

from evmon import BusStateError, Event, EventBus, Reject, RetryLater, RetryPolicy
from evmon.testing import VirtualClock, record, settled


@pytest.fixture
def bus():
    return EventBus(clock=VirtualClock(), retry=RetryPolicy(max_retries=1))


def described(history):
    return [
        (call.event.data, call.attempt, call.outcome, type(call.error), call.delay)
        for call in history.handled
    ]


async def test_each_call_of_a_handler_is_recorded_with_its_outcome(bus):
    async def handle(event):
        if event.data == "reject":
            raise Reject("no")
        if event.data == "later":
            raise RetryLater(3600)

    bus.add_handler("a", handle)
    history = record(bus)
    async with bus:
        for data in ("fine", "reject", "later"):
            await bus.publish("a", data)
        await settled(bus)

    assert ["fine", "reject", "later"] == [event.data for event in history.published]
    assert [
        ("fine", 1, "succeeded", type(None), None),
        ("reject", 1, "failed", Reject, None),
        ("later", 1, "retried", RetryLater, 3600),
        ("later", 2, "failed", RetryLater, None),
    ] == described(history)
    assert history.handled[0].handler.endswith(".handle")


async def test_handlers_of_one_event_are_recorded_apart(bus):
    async def good(event): ...

    async def bad(event):
        raise OSError("away")

    bus.add_handler("a", good)
    bus.add_handler("*", bad)
    history = record(bus)
    async with bus:
        await bus.publish("a")
        await settled(bus)

    calls = [(c.handler.rpartition(".")[2], c.outcome) for c in history.handled]
    assert [("good", "succeeded"), ("bad", "retried"), ("bad", "failed")] == calls


async def test_events_of_a_batch_are_recorded_one_by_one(bus):
    async def store(events: list[Event]):
        if any(event.data == "bad" for event in events):
            raise Reject("no")

    bus.add_handler("a", store)
    history = record(bus)
    async with bus:
        await bus.publish_many([("a", "good"), ("a", "good")])
        await settled(bus)
        await bus.publish_many([("a", "good"), ("a", "bad")])
        await settled(bus)

    outcomes = [(call.event.data, call.outcome) for call in history.handled]
    assert [("good", "succeeded")] * 2 == outcomes[:2]
    assert [("good", "retried"), ("bad", "retried")] == outcomes[2:4]
    assert [("good", "succeeded"), ("bad", "failed")] == outcomes[4:]


async def test_data_is_recorded_as_handlers_receive_it(bus):
    async with bus:
        with pytest.raises(BusStateError, match="record"):
            record(bus)

    other = EventBus()
    history = record(other)
    async with other:
        other.publish_nowait("a", (1, 2))
        await other.publish("b")

    assert [[1, 2], None] == [event.data for event in history.published]
    assert history is other._history


async def test_a_refused_event_was_not_published(bus, monkeypatch):
    history = record(bus)
    async with bus:
        monkeypatch.setattr(bus._runtime.transport, "_capacity", 1)
        results = await bus.publish_many([("a", 1), ("a", object())])

    assert [True, False] == [error is None for error in results]
    assert [1] == [event.data for event in history.published]
