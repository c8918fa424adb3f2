"""Publishing validates, returns results and loses nothing, on every transport."""

import asyncio

import pytest
from tests.waiting import eventually

from evmon import (
    Batching,
    BusStateError,
    Event,
    EventLimits,
    InvalidEventError,
    PublishError,
)


async def test_publish_many_returns_a_result_for_each_event(measured_bus):
    seen = []
    s = measured_bus()
    s.bus.add_handler("a", lambda e: seen.append(e.data))
    async with s as bus:
        results = await bus.publish_many([("a", n) for n in range(2500)])
        await eventually(lambda: len(seen) == 2500)
        await s.until_idle()
        assert [] == await bus.publish_many([])

    assert [None] * 2500 == results
    assert list(range(2500)) == sorted(seen)


async def test_events_of_publish_nowait_are_sent_before_the_bus_stops(
    measured_bus, url
):
    seen = []
    s = measured_bus()
    s.bus.add_handler("a", lambda e: seen.append(e.data))
    async with s as bus:
        for n in range(50):
            bus.publish_nowait("a", n)
    if url != "memory://":  # another process handles them
        later = measured_bus()
        later.bus.add_handler("a", lambda e: seen.append(e.data))
        async with later:
            await eventually(lambda: len(seen) == 50)

    assert list(range(50)) == sorted(seen)


async def test_events_of_publish_nowait_are_sent_soon(measured_bus):
    seen = []
    s = measured_bus()
    s.bus.add_handler("a", lambda e: seen.append(e.data))
    async with s as bus:
        bus.publish_nowait("a", 1)
        await eventually(lambda: seen == [1])


def _deep(levels):
    value = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("x" * 2000, "too_large"),
        (_deep(20), "too_deep"),
        (object(), None),
        ({1j: 1}, None),
    ],
    ids=["large", "deep", "object", "key"],
)
@pytest.mark.parametrize("how", ["publish", "publish_many", "publish_nowait"])
async def test_an_invalid_event_is_refused_before_it_is_sent(
    measured_bus, data, reason, how
):
    seen = []
    s = measured_bus(limits=EventLimits(max_bytes=1000, max_depth=10))
    s.bus.add_handler("a", lambda e: seen.append(e.data))
    async with s as bus:
        with pytest.raises(InvalidEventError) as caught:
            if how == "publish":
                await bus.publish("a", data)
            elif how == "publish_nowait":
                bus.publish_nowait("a", data)
            else:
                results = await bus.publish_many([("a", "before"), ("a", data)])
                assert results[0] is None
                raise results[1].__cause__
        await bus.publish("a", "good")
        await eventually(lambda: "good" in seen)
        await s.until_idle()
        assert 0 == s.all_dead

    assert reason in (None, caught.value.reason)
    assert {"before", "good"} >= set(seen)
    assert ("before" in seen) == (how == "publish_many")


@pytest.mark.parametrize("event_type", ["", "order.*", "a b", "a\n", ".", "x" * 256])
async def test_an_invalid_event_type_is_refused(measured_bus, event_type):
    async with measured_bus() as bus:
        with pytest.raises(InvalidEventError):
            await bus.publish(event_type)


async def test_a_sync_handler_can_publish_from_its_thread(measured_bus):
    seen, refused = [], []
    s = measured_bus()

    def forward(event: Event) -> None:
        try:
            s.bus.publish_nowait("b")
        except BusStateError as error:
            refused.append(str(error))
        s.bus.publish_sync("b", event.data)

    s.bus.add_handler("a", forward)
    s.bus.add_handler("b", lambda event: seen.append(event.data))
    async with s as bus:
        await bus.publish("a", 7)
        await eventually(lambda: seen)
        with pytest.raises(BusStateError, match="await publish"):
            bus.publish_sync("b")

    assert [7] == seen
    assert "such as that of a plain handler, use publish_sync()" in refused[0]


async def test_publish_nowait_raises_if_the_buffer_is_full(measured_bus):
    s = measured_bus(batching=Batching(max_buffered=3))
    s.bus.add_handler("a", lambda e: None)
    async with s as bus:
        for _ in range(3):
            bus.publish_nowait("a")
        with pytest.raises(PublishError, match="buffer is full"):
            bus.publish_nowait("a")
        await bus.publish("a")  # waits for space in the buffer


async def test_concurrent_publishers_lose_nothing(measured_bus):
    seen = []
    s = measured_bus()
    s.bus.add_handler("a", lambda e: seen.append(e.id))
    async with s as bus:

        async def publisher():
            return [(await bus.publish("a")).id for _ in range(20)]

        sent = await asyncio.gather(*(publisher() for _ in range(20)))
        await eventually(lambda: len(seen) == 400)
        await s.until_idle()

    assert sorted(n for ids in sent for n in ids) == sorted(seen)
