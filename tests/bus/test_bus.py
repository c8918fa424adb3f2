"""The methods of the bus: start, register, publish, stop."""

import re
import sys

import pytest
from tests.shop import Orders
from tests.waiting import eventually

from evmon import (
    BusStateError,
    ConfigError,
    ConsumerConfig,
    DiscoveryError,
    EventBus,
    RetryPolicy,
)


async def test_published_events_reach_handlers_registered_before_the_start(bus, orders):
    async with bus:
        event = await bus.publish("order.created", {"id": 7})
        await eventually(lambda: len(orders.seen) == 2)

    assert {"created", "audit"} == {name for name, _ in orders.seen}
    assert ("shop", "order.created", {"id": 7}) == (
        event.source,
        event.type,
        event.data,
    )


async def test_handlers_can_be_added_and_removed_while_the_bus_runs(bus, orders):
    seen = []
    async with bus:
        bus.add_handler("user.signed_up", seen.append)
        later = Orders()
        bus.register(later)
        await eventually(lambda: len(bus.handlers) == 5)
        await bus.publish("user.signed_up")
        await eventually(lambda: seen)
        assert 2 == bus.unregister(later)
        assert 3 == bus.monitor.get_metrics().discovery.registered


async def test_a_package_can_be_discovered_by_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "handlers_for_bus_test.py").write_text(
        "from evmon import event_handler\n"
        "@event_handler('a')\n"
        "async def handle(event): ...\n"
    )
    bus = EventBus()
    bus.discover("handlers_for_bus_test")
    async with bus:
        assert 1 == len(bus.handlers)
        bus.discover(sys.modules["handlers_for_bus_test"])
    assert () == bus.discovery.failures


async def test_without_discovery_only_add_handler_works():
    seen = []
    bus = EventBus(auto_discovery=False)
    bus.add_handler("a", seen.append)
    with pytest.raises(BusStateError, match=r"use add_handler\(\) without it"):
        bus.register(Orders())
    with pytest.raises(BusStateError, match=r"use add_handler\(\) without it"):
        bus.discover("shop")
    async with bus:
        await bus.publish("a")
        await eventually(lambda: seen)
        with pytest.raises(
            BusStateError, match="no monitor: the bus has auto_discovery=False"
        ):
            bus.monitor  # noqa: B018


async def test_a_handler_without_a_parameter_for_the_event_is_refused(bus):
    with pytest.raises(DiscoveryError, match="has no parameter for the event"):
        bus.add_handler("a", lambda: None)


async def test_a_bus_that_is_not_running_refuses_calls(bus):
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


async def test_a_provider_can_be_unregistered_before_the_start(bus, orders):
    assert 0 == bus.unregister(orders)
    async with bus:
        assert () == bus.handlers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"service": ""}, "service=''"),
        ({"service": "a b"}, "printable name without spaces"),
        ({"transport": "carrier-pigeon://x"}, "must be one of memory://"),
    ],
)
async def test_an_invalid_setting_is_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        async with EventBus(**arguments):
            pass


@pytest.mark.parametrize("service", ["redis://:secret@localhost:6379/0", "memory://"])
def test_a_url_as_the_name_of_the_service_is_refused(service, monkeypatch):
    right_call = re.escape('EventBus(service="shop", transport="redis://')
    with pytest.raises(ConfigError, match=right_call) as in_code:
        EventBus(service)
    monkeypatch.setenv("EVMON_SERVICE", service)
    with pytest.raises(ConfigError, match=right_call) as in_variable:
        EventBus()

    assert "secret" not in str(in_code.value) + str(in_variable.value)


def test_a_url_as_the_name_of_the_group_is_refused():
    with pytest.raises(ConfigError, match=r"ConsumerConfig.group='redis://…' is a URL"):
        ConsumerConfig(group="redis://:secret@localhost:6379/0")


@pytest.mark.parametrize(
    ("transport", "shown"),
    [
        ("memory", "'memory'"),
        ("shop", "'shop'"),
        ("localhost:6379", "'localhost:6379'"),
        ("redis:localhost", "'redis:localhost'"),
        (":secret@localhost:6379", "'…@localhost:6379'"),
    ],
)
def test_a_transport_that_is_no_url_is_shown_as_written(transport, shown):
    with pytest.raises(ConfigError) as caught:
        EventBus(transport=transport)

    assert str(caught.value).startswith(f"transport={shown}: must be one of memory://")


def test_a_repr_never_shows_a_password():
    bus = EventBus(transport="redis://user:secret@localhost/0")

    assert "secret" not in repr(bus)


def test_an_unknown_transport_is_refused_at_construction():
    for url in ("rdis://localhost", "redis+sentinel://localhost"):
        with pytest.raises(ConfigError, match="transport="):
            EventBus(transport=url)


async def test_a_module_that_imports_after_a_retry_loses_no_event():
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
        await eventually(lambda: made and made[0].seen, 10)

    assert ("created", {"id": 7}) in made[0].seen
