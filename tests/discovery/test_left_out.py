"""Declared callables are registered once, or named in a warning."""

import asyncio
import sys
import types

import pytest
from tests.waiting import eventually

from evmon import DiscoveryConfig, RetryPolicy, event_handler
from evmon._discovery.cache import MetadataCache
from evmon._discovery.discovery import Discovery
from evmon._handlers.registry import Registry
from evmon._retry import Retrier
from evmon._telemetry.recorders import DiscoveryRecorder, RetryRecorder

SOURCE = """
import functools
from evmon import event_handler

class Audit:
    def __init__(self, database): ...

    @event_handler("order.*")
    def __call__(self, event): ...

audit = Audit("db")

@event_handler("order.created")
def created(event, currency="EUR"): ...

in_dollars = functools.partial(created, currency="USD")
"""


class Orders:
    def __init__(self, hook):
        self.hook = hook

    @event_handler("order.created")
    def handle(self, event): ...


@pytest.fixture
def module(monkeypatch):
    module = types.ModuleType("shop_orders_for_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(SOURCE, module.__dict__)
    return module


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
async def discovery(registry, measured, clock):
    meter = measured.meter
    discovery = Discovery(
        registry,
        DiscoveryConfig(),
        cache=MetadataCache(300, clock, meter),
        policy=RetryPolicy(),
        retrier=Retrier(clock, RetryRecorder(meter, "discovery")),
        recorder=DiscoveryRecorder(meter),
        clock=clock,
    )
    task = asyncio.create_task(discovery.run())
    yield discovery
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_callables_that_a_module_does_not_bring_are_named(
    discovery, registry, module, caplog
):
    discovery.register(module)
    await eventually(lambda: not discovery.pending)

    assert ["shop_orders_for_test.created"] == [h.name for h in registry.handlers]
    assert "shop_orders_for_test.audit is declared" in caplog.text
    assert "shop_orders_for_test.in_dollars is declared" in caplog.text


async def test_callables_that_are_registered_by_themselves_are_not_named(
    discovery, registry, module, caplog
):
    discovery.register(module.in_dollars)
    discovery.register(module.audit)
    discovery.discover(module)
    await eventually(lambda: not discovery.pending)

    assert 3 == len(registry)
    assert "is declared" not in caplog.text


@pytest.mark.parametrize("method", ["register", "discover"])
async def test_a_function_held_by_an_instance_is_registered_once(
    discovery, registry, module, caplog, method
):
    del module.in_dollars
    discovery.register(module.audit)
    discovery.register(Orders(module.created))
    getattr(discovery, method)(module)
    await eventually(lambda: not discovery.pending)

    names = [handler.name for handler in registry.handlers]
    assert 1 == names.count("shop_orders_for_test.created")
    assert 3 == len(names)
    assert "is declared" not in caplog.text


async def test_a_function_held_by_an_instance_only_is_named(
    discovery, registry, module, caplog
):
    discovery.register(Orders(module.created))
    await eventually(lambda: not discovery.pending)

    assert 1 == len(registry)
    assert "Orders instance.hook is declared" in caplog.text
