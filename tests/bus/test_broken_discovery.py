"""A bus whose discovery is broken does not start, or is not ready and loses no event."""

import asyncio
import textwrap

import pytest
from tests.waiting import eventually, let_tasks_run

from evmon import (
    ConsumerConfig,
    DiscoveryConfig,
    DiscoveryError,
    Event,
    EventBus,
    RetryPolicy,
    event_handler,
)

LENIENT = DiscoveryConfig(strict=False)


class Half:
    """One of its handlers can be called, the other one cannot."""

    def __init__(self):
        self.seen = []

    @event_handler("good")
    async def good(self, event):
        self.seen.append(event.type)

    @event_handler("bad")
    async def bad(self, event, other): ...


def line_of(function):
    return f"({__file__}:{function.__code__.co_firstlineno})"


def readiness(bus):
    answer = bus.routes.answer("GET", "/readyz", {})
    return answer.status, b"".join([answer.body]).decode().strip()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The name of a package with one broken module and one broken signature."""
    name = f"broken_{tmp_path.name.replace('-', '_')}"
    root = tmp_path / name
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "fails.py").write_text("import json\n\njson.loads('{')\n")
    (root / "needs.py").write_text(
        textwrap.dedent("""
        from evmon import event_handler

        class Orders:
            def __init__(self, pool): ...

            @event_handler("order.created")
            async def created(self, event): ...
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    return root


async def test_a_bad_signature_fails_the_start_with_its_line():
    bus = EventBus()
    bus.register(Half())
    with pytest.raises(DiscoveryError) as caught:
        await bus.start()

    first, line = str(caught.value).splitlines()
    assert "DiscoveryConfig(strict=False)" in first
    assert line.startswith(f"- {__name__}.Half instance: {__name__}.Half.bad: ")
    assert line.endswith(line_of(Half.bad))
    assert {asyncio.current_task()} == asyncio.all_tasks()
    assert 503 == readiness(bus)[0]


async def test_every_permanent_error_has_a_line_of_its_own(package):
    bus = EventBus()
    bus.discover(package.name)
    bus.discover("no_such_package")
    bus.register(Half())
    with pytest.raises(DiscoveryError) as caught:
        await bus.start()

    _, *lines = str(caught.value).splitlines()
    assert 4 == len(lines), lines
    text = "\n".join(lines)
    assert f"{package.name}.fails: JSONDecodeError: " in text
    assert f"({package / 'fails.py'}:3)" in text
    assert f"({package / 'needs.py'}:5)" in text
    assert "no_such_package: ModuleNotFoundError: " in text


async def test_a_failed_import_is_not_retried_before_it_fails_the_start(clock):
    bus = EventBus(retry=RetryPolicy(base_delay=60, max_delay=60), clock=clock)
    bus.discover("no_such_package")
    with pytest.raises(DiscoveryError, match="no_such_package"):
        await asyncio.wait_for(bus.start(), 5)

    assert [] == clock.slept


async def test_an_error_that_may_pass_does_not_fail_the_start(clock):
    class Away:
        fails = True

        def __init__(self):
            if Away.fails:
                raise ConnectionError

        @event_handler("a")
        def handle(self, event): ...

    bus = EventBus(clock=clock)
    bus.register(Away)
    async with bus:
        assert (503, f"cannot discover {_name(Away)}") == readiness(bus)
        Away.fails = False
        await eventually(lambda: clock._sleepers)
        await clock.advance(60)
        await eventually(lambda: bus.handlers)
        assert (200, "ready") == readiness(bus)


async def test_a_provider_that_fails_after_the_start_is_only_logged(caplog):
    async with EventBus() as bus:
        bus.register(Half())
        await eventually(lambda: bus.discovery.failures)

        assert (200, "ready") == readiness(bus)
        assert f" {line_of(Half.bad)}" in caplog.text
        assert ["good"] == [handler.pattern for handler in bus.handlers]


async def test_a_lenient_bus_runs_the_good_handlers_and_says_what_failed():
    half = Half()
    bus = EventBus(discovery=LENIENT)
    bus.register(half)
    async with bus:
        await bus.publish("good")
        await eventually(lambda: half.seen)
        assert (503, f"cannot discover {_name(Half)} instance") == readiness(bus)
        assert 1 == len(bus.discovery.failures)


async def test_readiness_names_three_of_many_providers():
    bus = EventBus(discovery=LENIENT)
    for number in range(5):
        bus.discover(f"no_such_package_{number}")
    async with bus:
        await eventually(lambda: bus.discovery.pending == 0)
        names = ", ".join(f"no_such_package_{number}" for number in range(3))
        assert (503, f"cannot discover {names} and 2 more") == readiness(bus)


async def test_a_bus_is_ready_once_what_failed_is_unregistered_or_replaced():
    class Needy:
        def __init__(self, pool): ...

        @event_handler("a")
        def handle(self, event): ...

    half = Half()
    bus = EventBus(discovery=LENIENT)
    bus.register(half)
    bus.register(Needy)
    async with bus:
        bus.unregister(half)
        assert (503, f"cannot discover {_name(Needy)}") == readiness(bus)
        bus.register(Needy("pool"))
        await eventually(lambda: bus.handlers)
        assert (200, "ready") == readiness(bus)


async def test_events_wait_while_their_provider_is_missing(server, client, clock):
    """Longer than new providers are waited for, and more often than an event is retried."""
    seen = []
    bus = EventBus(
        "shop",
        server.url,
        discovery=LENIENT,
        consumer=ConsumerConfig(max_deliveries=1),
    )
    bus.register(Half())
    async with bus:
        bus._runtime.discovery._queue._clock = clock
        clock.now += 100
        await bus.publish("lost")
        await asyncio.sleep(1.6)
        assert 0 == client.xlen("evmon:{shop}:dead")
        bus.add_handler("lost", lambda event: seen.append(event))
        await eventually(lambda: seen)

    assert 0 == client.xlen("evmon:{shop}:dead")


async def test_events_are_left_to_other_processes_when_a_broken_bus_stops(
    server, client
):
    bus = EventBus("shop", server.url, discovery=LENIENT)
    bus.register(Half())
    async with bus:
        await bus.publish("lost")
        await let_tasks_run()

    assert 0 == client.xlen("evmon:{shop}:dead")
    seen = []

    async def handle(event: Event) -> None:
        seen.append(event)

    other = EventBus("shop", server.url)
    other.add_handler("lost", handle)
    async with other:
        await eventually(lambda: seen)


async def test_a_broken_bus_without_a_server_stops():
    bus = EventBus(discovery=LENIENT)
    bus.register(Half())
    async with bus:
        await bus.publish("lost")
        await let_tasks_run()


def _name(kind):
    return f"{kind.__module__}.{kind.__qualname__}"
