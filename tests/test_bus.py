"""The bus as its user sees it: start, publish, look, stop."""

import re
import sys
from datetime import datetime, timezone

import pydantic
import pytest
from tests.shop import Orders

from evmon import (
    BusStateError,
    ConfigError,
    DiscoveryError,
    Event,
    EventBus,
    InvalidEventError,
    RetryPolicy,
    TransportError,
)
from evmon._events import now


async def test_published_events_reach_the_handlers_that_were_registered_before(
    bus, orders
):
    async with bus:
        event = await bus.publish("order.created", {"id": 7})
        await pytest.eventually(lambda: len(orders.seen) == 2)

    assert {"created", "audit"} == {name for name, _ in orders.seen}
    assert (
        event.source,
        event.type,
        event.data,
    ) == ("shop", "order.created", {"id": 7})


async def test_publish_takes_all_attributes_of_an_event(bus):
    async with bus:
        event = await bus.publish(
            "order.created", id="1", source="/other", traceparent="00-a-b-01"
        )

    assert (event.id, event.source, event.traceparent) == ("1", "/other", "00-a-b-01")


async def test_publish_many_takes_events_and_pairs(bus, orders):
    async with bus:
        event = await bus.publish("order.created")
        assert await bus.publish_many([event, ("order.created", 2)]) == [None, None]


async def test_what_is_no_event_type_is_refused(bus):
    async with bus:
        with pytest.raises(InvalidEventError):
            await bus.publish("order.*")


async def test_handlers_may_come_and_go_while_the_bus_runs(bus, orders):
    seen = []
    async with bus:
        bus.add_handler("user.signed_up", seen.append)
        later = Orders()
        bus.register(later)
        await pytest.eventually(lambda: len(bus.handlers) == 5)
        await bus.publish("user.signed_up")
        await pytest.eventually(lambda: seen)
        assert bus.unregister(later) == 2
        assert bus.monitor.get_metrics().discovery.registered == 3


async def test_a_package_may_be_discovered_by_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "handlers_for_bus_test.py").write_text(
        "from evmon import event_handler\n"
        "@event_handler('a')\n"
        "async def handle(event): ...\n"
    )
    bus = EventBus()
    bus.discover("handlers_for_bus_test")
    async with bus:
        assert len(bus.handlers) == 1
        bus.discover(sys.modules["handlers_for_bus_test"])
    assert bus.discovery.failures == ()


async def test_without_discovery_handlers_are_added_by_hand():
    seen = []
    bus = EventBus(auto_discovery=False)
    bus.add_handler("a", seen.append)
    with pytest.raises(BusStateError, match=r"use add_handler\(\) without it"):
        bus.register(Orders())
    with pytest.raises(BusStateError, match=r"use add_handler\(\) without it"):
        bus.discover("shop")
    async with bus:
        await bus.publish("a")
        await pytest.eventually(lambda: seen)
        with pytest.raises(
            BusStateError, match="no monitor: the bus has auto_discovery=False"
        ):
            bus.monitor  # noqa: B018


async def test_a_handler_that_cannot_be_called_is_refused_at_once(bus):
    with pytest.raises(DiscoveryError, match="has no parameter for the event"):
        bus.add_handler("a", lambda: None)


async def test_the_bus_says_what_it_is_not_ready_for(bus):
    with pytest.raises(BusStateError, match="not running"):
        await bus.publish("a")
    with pytest.raises(BusStateError, match="not running"):
        bus.monitor  # noqa: B018
    async with bus:
        with pytest.raises(BusStateError, match="already started"):
            await bus.start()
    with pytest.raises(BusStateError, match="has stopped"):
        await bus.publish("a")
    await bus.stop()


async def test_a_provider_may_be_taken_back_before_the_start(bus, orders):
    assert bus.unregister(orders) == 0
    async with bus:
        assert bus.handlers == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"service": ""}, "service=''"),
        ({"service": "a b"}, "printable name without spaces"),
        ({"transport": "carrier-pigeon://x"}, "must be one of memory://"),
    ],
)
async def test_a_wrong_setting_is_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        async with EventBus(**arguments):
            pass


def test_a_repr_never_shows_a_password():
    bus = EventBus(transport="redis://user:secret@localhost/0")

    assert "secret" not in repr(bus)


def test_a_transport_that_is_none_is_refused_before_anything_starts():
    for url in ("rdis://localhost", "redis+sentinel://localhost"):
        with pytest.raises(ConfigError, match="transport="):
            EventBus(transport=url)


async def test_publishing_is_retried_whatever_heals_a_handler(bus, monkeypatch):
    bus = EventBus(retry=RetryPolicy(retry_on=(KeyError,), base_delay=0.001))
    async with bus:
        transport = bus._runtime.transport
        publish, failures = transport.publish, [TransportError("away")]

        async def fail_once(*args):
            if failures:
                raise failures.pop()
            return await publish(*args)

        monkeypatch.setattr(transport, "publish", fail_once)
        await bus.publish("a")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"id": 5}, "id 5 must be a non-empty string"),
        ({"id": ""}, "id '' must be"),
        ({"source": 5}, "source 5 must be"),
        ({"time": "yesterday"}, "time 'yesterday' must be a datetime with a time zone"),
        ({"time": datetime(2026, 1, 1)}, "with a time zone"),  # noqa: DTZ001
        ({"traceparent": 5}, "traceparent 5 must be a string"),
    ],
)
async def test_what_cloudevents_would_refuse_is_refused_at_once(
    bus, attributes, message
):
    async with bus:
        with pytest.raises(InvalidEventError, match=re.escape(message)):
            await bus.publish("order.created", **attributes)


async def test_an_event_of_no_type_is_refused_even_ready_made(bus):
    event = Event(id="1", source="shop", type="a b*", time=now(), data=None)
    async with bus:
        with pytest.raises(InvalidEventError, match="must be printable words"):
            await bus.publish_many([event])


async def test_models_of_pydantic_are_published_and_validated(bus):
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


async def test_a_module_that_heals_in_time_costs_no_event():
    tried = []

    class Late(Orders):
        def __init__(self):
            tried.append(None)
            if len(tried) < 3:
                raise ConnectionError("not yet")
            super().__init__()
            made.append(self)

    made = []
    bus = EventBus(retry=RetryPolicy(base_delay=0.2, jitter="none"))
    bus.add_handler("other", print)
    bus.register(Late)
    async with bus:
        await bus.publish("order.created", {"id": 7})
        await pytest.eventually(lambda: made and made[0].seen, 10)

    assert ("created", {"id": 7}) in made[0].seen
