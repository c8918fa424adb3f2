"""Events are valid by CloudEvents, or refused before they are sent."""

import asyncio
import re
from datetime import datetime, timezone

import pydantic
import pytest
from tests.waiting import let_tasks_run

from evmon import (
    ConfigError,
    Event,
    EventBus,
    InvalidEventError,
    PublishError,
    PublishRetry,
    RetryPolicy,
    TransportError,
)
from evmon._events import now

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_publish_takes_all_attributes_of_an_event(bus):
    async with bus:
        event = await bus.publish(
            "order.created", id="1", source="/other", traceparent=TRACEPARENT
        )

    assert ("1", "/other", TRACEPARENT) == (event.id, event.source, event.traceparent)


async def test_publish_many_takes_events_and_pairs(bus, orders):
    async with bus:
        event = await bus.publish("order.created")
        assert [None, None] == await bus.publish_many([event, ("order.created", 2)])


async def test_an_invalid_event_type_is_refused(bus):
    async with bus:
        with pytest.raises(InvalidEventError):
            await bus.publish("order.*")


async def test_publishing_has_a_retry_policy_of_its_own(monkeypatch):
    never = RetryPolicy(max_retries=0)
    bus = EventBus(retry=never, publish_retry=PublishRetry(base_delay=0.001))
    async with bus:
        transport = bus._runtime.transport
        publish, failures = transport.publish, [TransportError("away")] * 10

        async def fail_ten_times(*args):
            if failures:
                raise failures.pop()
            return await publish(*args)

        monkeypatch.setattr(transport, "publish", fail_ten_times)
        await bus.publish("a")


def test_publishing_outlasts_a_short_absence_of_the_server():
    retry = PublishRetry()
    delays = [retry.policy.delay(n) for n in range(retry.max_retries)]

    assert (10, 2) == (len(delays), max(delays))
    assert 10 < sum(delays) < retry.deadline


def test_variables_set_the_retries_of_publishing(monkeypatch):
    monkeypatch.setenv("EVMON_PUBLISH_RETRY_DEADLINE", "7")

    assert 7 == EventBus()._settings.publish_retry.deadline


@pytest.fixture
def hanging(bus, monkeypatch):
    async def hang(*_):
        await asyncio.sleep(60)

    async def start():
        await bus.start()
        monkeypatch.setattr(bus._runtime.transport, "publish", hang)
        return bus

    return start


async def test_a_publish_fails_once_its_timeout_has_passed(hanging):
    bus = await hanging()
    with pytest.raises(PublishError, match=r"not accepted within 0\.05 s"):
        await bus.publish("a", timeout=0.05)
    with pytest.raises(PublishError, match=r"not accepted within 0\.05 s"):
        await asyncio.to_thread(bus.publish_sync, "a", timeout=0.05)
    stopping = asyncio.create_task(bus.stop())
    await let_tasks_run()
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)


async def test_publish_many_returns_what_was_not_accepted_in_time(hanging):
    bus = await hanging()
    results = await bus.publish_many([("a", 1), ("a", object())], timeout=0.05)

    assert "not accepted within 0.05 s; it may still be sent" in str(results[0])
    assert "cannot be encoded as JSON" in str(results[1])
    stopping = asyncio.create_task(bus.stop())
    await let_tasks_run()
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)


async def test_a_publish_in_time_returns_its_event(bus):
    async with bus:
        assert "a" == (await bus.publish("a", timeout=5)).type
        assert [None] == await bus.publish_many([("a", 1)], timeout=5)
        in_thread = await asyncio.to_thread(bus.publish_sync, "a", timeout=5)
        assert "a" == in_thread.type


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5", True])
async def test_an_invalid_timeout_is_refused(bus, timeout):
    async with bus:
        with pytest.raises(ConfigError, match="must be seconds, 0 or more"):
            await bus.publish("a", timeout=timeout)
        with pytest.raises(ConfigError, match="must be seconds, 0 or more"):
            await bus.publish_many([], timeout=timeout)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"id": 5}, "id 5 must be a non-empty string"),
        ({"id": ""}, "id '' must be"),
        ({"source": 5}, "source 5 must be"),
        ({"time": "yesterday"}, "time 'yesterday' must be a datetime with a time zone"),
        ({"time": datetime(2026, 1, 1)}, "with a time zone"),  # noqa: DTZ001
        ({"traceparent": 5}, "traceparent 5 must be a W3C traceparent"),
        ({"traceparent": "zzz"}, "traceparent 'zzz' must be a W3C traceparent"),
        ({"traceparent": ""}, "traceparent '' must be"),
        ({"traceparent": TRACEPARENT.upper()}, "must be a W3C traceparent"),
        ({"traceparent": f"ff{TRACEPARENT[2:]}"}, "must be a W3C traceparent"),
        ({"traceparent": f"{TRACEPARENT}-more"}, "must be a W3C traceparent"),
        ({"traceparent": f"{TRACEPARENT}\n"}, "must be a W3C traceparent"),
        (
            {"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"},
            "must be a W3C traceparent",
        ),
        (
            {"traceparent": f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01"},
            "must be a W3C traceparent",
        ),
    ],
)
async def test_attributes_that_cloudevents_forbids_are_refused(
    bus, attributes, message
):
    async with bus:
        with pytest.raises(InvalidEventError, match=re.escape(message)):
            await bus.publish("order.created", **attributes)


async def test_a_traceparent_of_a_later_version_may_have_more_fields(bus):
    later = f"cc{TRACEPARENT[2:]}-what-comes"
    async with bus:
        assert later == (await bus.publish("a", traceparent=later)).traceparent


async def test_an_event_given_as_the_type_is_refused_with_the_right_call(bus):
    event = Event(id="1", source="shop", type="a", time=now())
    async with bus:
        with pytest.raises(InvalidEventError, match=r"publish_many\(\[event\]\)"):
            await bus.publish(event)
        with pytest.raises(InvalidEventError, match=r"publish_many\(\[event\]\)"):
            bus.publish_nowait(event)


@pytest.mark.parametrize("item", ["ab", ("a",), ("a", 1, "id"), None, {"a": 1, "b": 2}])
async def test_publish_many_refuses_what_is_no_event_and_no_pair(bus, item):
    async with bus:
        with pytest.raises(
            InvalidEventError, match=r"must be an Event or a pair \(type, data\)"
        ):
            await bus.publish_many([item])


async def test_publish_many_refuses_a_lone_event_or_pair(bus):
    async with bus:
        event = await bus.publish("order.created")
        for alone in (event, ("order.created", 1), "order.created"):
            with pytest.raises(InvalidEventError, match="an Event"):
                await bus.publish_many(alone)


async def test_an_event_object_with_an_invalid_type_is_refused(bus):
    event = Event(id="1", source="shop", type="a b*", time=now(), data=None)
    async with bus:
        with pytest.raises(InvalidEventError, match="must be printable words"):
            await bus.publish_many([event])


async def test_pydantic_models_are_published_and_validated(bus):
    class Order(pydantic.BaseModel):
        id: int
        on: datetime

    seen = []

    async def handle(order: Order) -> None:
        seen.append(order)

    bus.add_handler("paid", handle)
    order = Order(id=7, on=datetime(2026, 1, 1, tzinfo=timezone.utc))
    async with bus:
        await bus.publish("paid", order)
        await bus.publish("paid", [{"nested": order}])
        with pytest.raises(InvalidEventError, match="type object is not supported"):
            await bus.publish("paid", object())

    assert [order] == seen
