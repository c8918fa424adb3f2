"""The pytest plugin of evmon: fixtures for testing handlers on a bus.

It is a module of its own, and imports evmon only when a fixture is used, because pytest
loads it in every project of an environment.
"""

import functools
import inspect
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from evmon import EventBus
    from evmon.testing import History, VirtualClock

_BUS = "evmon_bus"


@pytest.fixture
def no_evmon_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the environment variables that would override settings of a bus."""
    for name in list(os.environ):
        if name.startswith(("EVMON_", "OTEL_EXPORTER_PROMETHEUS_")):
            monkeypatch.delenv(name)


@pytest.fixture
def evmon_clock() -> "VirtualClock":
    """The clock of `evmon_bus`, which a test moves with ``await advance(seconds)``."""
    from evmon.testing import VirtualClock

    return VirtualClock()


@pytest.fixture
def evmon_bus(
    no_evmon_variables: None,  # noqa: ARG001 - asked for by name
    evmon_clock: "VirtualClock",
) -> "EventBus":
    """A bus on ``memory://``: it runs while the function of an async test does.

    Fixtures register handlers before the start, the test at any time. Another bus takes
    its place if a project defines a fixture of this name.
    """
    from evmon import ConsumerConfig, EventBus

    return EventBus(clock=evmon_clock, consumer=ConsumerConfig(drain_timeout=1))


@pytest.fixture
def evmon_history(evmon_bus: "EventBus") -> "History":
    """What was ``published`` and ``handled`` on `evmon_bus`."""
    from evmon.testing import record

    return record(evmon_bus)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Start `evmon_bus` in the task of the test, whichever plugin runs it."""
    if not isinstance(item, pytest.Function) or not _takes_bus(item):
        return (yield)
    test = item.obj

    @functools.wraps(test)
    async def with_bus(*arguments: Any, **fixtures: Any) -> None:
        __tracebackhide__ = True
        bus = cast("EventBus", item.funcargs[_BUS])
        if bus._own_runtime is not None:  # noqa: SLF001 - by a fixture of the project
            await test(*arguments, **fixtures)
            return
        async with bus:
            await test(*arguments, **fixtures)

    item.obj = with_bus
    try:
        return (yield)
    finally:
        item.obj = test


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test of `evmon_bus`, unless a plugin for async tests does."""
    if not _takes_bus(pyfuncitem):
        return None
    import asyncio

    names = pyfuncitem._fixtureinfo.argnames  # noqa: SLF001 - as pytest does
    fixtures = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(pyfuncitem.obj(**fixtures))
    return True


def _takes_bus(item: pytest.Function) -> bool:
    return _BUS in item.fixturenames and inspect.iscoroutinefunction(item.obj)
