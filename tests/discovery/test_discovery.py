"""Providers are looked at in batches, beside each other, and never lost in silence."""

import asyncio
import gc
import sys
import textwrap
import threading
import weakref

import pytest

from evmon import DiscoveryConfig, RetryPolicy, event_handler
from evmon._discovery.cache import MetadataCache
from evmon._discovery.discovery import Discovery
from evmon._handlers.registry import Registry
from evmon._retry import Retrier
from evmon._telemetry import instruments as i
from evmon._telemetry.recorders import DiscoveryRecorder, RetryRecorder


class Orders:
    @event_handler("order.created")
    async def created(self, event): ...

    @event_handler("order.*")
    def audit(self, event): ...


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def make(registry, measured):
    def make(clock, batch_size=10, policy=RetryPolicy(jitter="none")):
        meter = measured.meter
        return Discovery(
            registry,
            DiscoveryConfig(batch_size=batch_size),
            cache=MetadataCache(300, clock, meter),
            policy=policy,
            retrier=Retrier(clock, RetryRecorder(meter, "discovery")),
            recorder=DiscoveryRecorder(meter),
            clock=clock,
        )

    return make


@pytest.fixture
async def running(make, clock):
    discovery = make(clock)
    task = asyncio.create_task(discovery.run())
    yield discovery
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def outcome(measured, name):
    return measured.total(i.DISCOVERY_PROVIDERS, **{"evmon.discovery.outcome": name})


async def test_an_instance_gives_its_handlers(running, registry, measured):
    running.register(Orders())
    await pytest.settle()

    names = [f"{__name__}.Orders.created", f"{__name__}.Orders.audit"]
    assert names == [h.name for h in registry.handlers]
    assert outcome(measured, "registered") == 1
    assert 0 == running.pending == measured.total(i.DISCOVERY_QUEUE_SIZE)


async def test_a_class_is_instantiated_and_a_function_is_taken_as_it_is(
    running, registry
):
    @event_handler("user.signed_up")
    async def welcome(event): ...

    running.register(Orders)
    running.register(welcome)
    await pytest.eventually(lambda: len(registry) == 3)


async def test_a_class_with_static_handlers_alone_needs_no_instance(running, registry):
    class Static:
        def __init__(self, needed): ...

        @staticmethod
        @event_handler("a")
        def handle(event): ...

    running.register(Static)
    await pytest.settle()

    assert len(registry) == 1


async def test_a_class_that_needs_arguments_is_reported_with_the_way_out(
    running, caplog
):
    class Needy:
        def __init__(self, database): ...

        @event_handler("a")
        def handle(self, event): ...

    running.register(Needy)
    await pytest.eventually(lambda: running.failures)

    (failure,) = running.failures
    assert failure.attempts == 1
    assert "register an instance instead" in str(failure.error)
    assert "Needy, gave up after 1 attempts" in caplog.text


async def test_a_provider_without_handlers_is_counted_as_empty_and_told_of(
    running, measured, caplog
):
    running.register(object())
    await pytest.settle()

    assert outcome(measured, "empty") == 1
    assert "has no handlers" in caplog.text
    assert running.pending == 0


class Stubborn:
    """Cannot be made the first times."""

    failures = 0

    def __init__(self):
        if type(self).failures > 0:
            type(self).failures -= 1
            raise ConnectionError("the database is away")

    @event_handler("a")
    def handle(self, event): ...


async def test_a_failing_provider_is_tried_again_beside_the_others(
    running, registry, clock, measured, monkeypatch
):
    monkeypatch.setattr(Stubborn, "failures", 2)
    running.register(Stubborn)
    running.register(Orders())
    await running.wait_until_quiet()
    await pytest.eventually(lambda: len(registry) == 2)

    assert running.pending == 1
    for delay in (0.1, 0.2):
        await pytest.eventually(lambda: clock._sleepers)
        await clock.advance(delay)
    await pytest.eventually(lambda: len(registry) == 3)
    assert clock.slept == [0.1, 0.2]
    assert (
        measured.total(i.RETRY_ATTEMPTS, **{"evmon.retry.component": "discovery"}) == 2
    )
    assert running.failures == ()


async def test_a_hopeless_provider_is_reported_after_the_last_retry(
    make, instant_clock, monkeypatch, caplog, measured
):
    monkeypatch.setattr(Stubborn, "failures", 99)
    discovery = make(instant_clock)
    task = asyncio.create_task(discovery.run())
    discovery.register(Stubborn)
    await pytest.eventually(lambda: discovery.failures)
    task.cancel()

    (failure,) = discovery.failures
    assert failure.attempts == 4
    assert isinstance(failure.error, ConnectionError)
    assert (
        "gave up after 4 attempts: ConnectionError: the database is away" in caplog.text
    )
    assert outcome(measured, "failed") == 1
    assert measured.total(i.DISCOVERY_QUEUE_SIZE) == 0


async def test_the_queue_is_worked_off_in_batches(make, clock, measured):
    discovery = make(clock, batch_size=10)
    for _ in range(25):
        discovery.register(Orders())
    task = asyncio.create_task(discovery.run())
    await pytest.settle(200)
    task.cancel()

    assert measured.snapshot.distribution(i.DISCOVERY_BATCH_DURATION).count == 3
    assert clock.time() == measured.total(i.DISCOVERY_LAST_RUN_TIME)


async def test_the_items_of_a_batch_are_looked_at_concurrently(make, clock):
    meeting = []

    class Slow:
        def __init__(self):
            meeting.append(1)
            for _ in range(500):
                if len(meeting) >= 2:
                    return
                import time

                time.sleep(0.01)
            raise AssertionError("alone")

        @event_handler("a")
        def handle(self, event): ...

    class AlsoSlow(Slow): ...

    discovery = make(clock)
    discovery.register(Slow)
    discovery.register(AlsoSlow)
    task = asyncio.create_task(discovery.run())
    await pytest.eventually(lambda: discovery.pending == 0)
    task.cancel()

    assert discovery.failures == ()


async def test_registering_a_provider_again_replaces_its_handlers(running, registry):
    provider, other = Orders(), Orders()
    running.register(provider)
    running.register(other)
    await pytest.settle()
    before = {handler.key for handler in registry.handlers}
    for _ in range(3):
        running.register(provider)
        await pytest.settle()
        # Retries on the transport find their handlers by these.
        assert before == {handler.key for handler in registry.handlers}

    assert len(registry) == 4


async def test_unregistering_frees_a_provider(running, registry, measured):
    provider = Orders()
    running.register(provider)
    await pytest.settle()
    reference = weakref.ref(provider)

    assert running.unregister(provider) == 2
    assert running.unregister(provider) == 0
    del provider
    gc.collect()
    assert reference() is None
    assert len(registry) == 0
    assert measured.total(i.CACHE_ENTRIES) == 0


async def test_ten_thousand_providers_registered_and_dropped_leave_nothing(
    running, registry, measured
):
    loop = asyncio.get_running_loop()
    tasks_before = len(asyncio.all_tasks())
    for _ in range(100):
        providers = [Orders() for _ in range(100)]
        for provider in providers:
            running.register(provider)
        await running.wait_until_quiet()
        await pytest.eventually(lambda: running.pending == 0)
        for provider in providers:
            running.unregister(provider)
        del providers, provider
    gc.collect()
    await pytest.settle()

    assert 0 == len(registry) == len(running._cache) == len(running._registrations)
    assert measured.total(i.CACHE_ENTRIES) == 0
    assert tasks_before == len(asyncio.all_tasks())
    assert not [t for t in getattr(loop, "_scheduled", []) if not t.cancelled()]


async def test_threads_may_register(running, registry):
    await asyncio.gather(
        *(asyncio.to_thread(running.register, Orders()) for _ in range(20))
    )
    await pytest.eventually(lambda: len(registry) == 40)


async def test_an_idle_queue_causes_no_wake_up(running):
    """No timer is set and the loop runs no step while nothing is queued."""
    running.register(Orders())
    await running.wait_until_quiet()
    await pytest.settle()
    loop = asyncio.get_running_loop()
    steps = []
    original = loop._run_once
    loop._run_once = lambda: (steps.append(1), original())
    await asyncio.sleep(0.5)
    loop._run_once = original

    assert [t for t in loop._scheduled if not t.cancelled()] == []
    assert len(steps) <= 2, "only the test's own timer may wake the loop"


async def test_stopping_leaves_no_queue_behind(make, clock, measured):
    discovery = make(clock, policy=RetryPolicy(base_delay=60, max_delay=60))
    Stubborn.failures = 1
    discovery.register(Stubborn)
    task = asyncio.create_task(discovery.run())
    await pytest.eventually(lambda: clock._sleepers)
    assert measured.total(i.DISCOVERY_QUEUE_SIZE) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert 0 == discovery.pending == measured.total(i.DISCOVERY_QUEUE_SIZE)
    assert len(asyncio.all_tasks()) == 1


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package on disk: `shop.handlers` with modules, one of them broken."""
    monkeypatch.syspath_prepend(tmp_path)
    root = tmp_path / "shop_for_test"
    (root / "handlers").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "__main__.py").write_text("raise SystemExit")
    (root / "handlers" / "__init__.py").write_text("")
    (root / "handlers" / "orders.py").write_text(
        textwrap.dedent("""
        from evmon import event_handler

        class Orders:
            @event_handler("order.created")
            async def created(self, event): ...

        class Plain: ...

        @event_handler("order.shipped")
        async def shipped(event): ...
        """)
    )
    (root / "handlers" / "users.py").write_text(
        "from .orders import Orders, shipped\n"
        "from evmon import event_handler\n"
        "welcome = event_handler('user.signed_up')(lambda event: None)\n"
    )
    (root / "handlers" / "broken.py").write_text("1/0")
    yield "shop_for_test"
    for name in [n for n in sys.modules if n.startswith("shop_for_test")]:
        del sys.modules[name]


async def test_a_package_is_walked_and_a_broken_module_holds_nothing_up(
    make, instant_clock, registry, package
):
    discovery = make(instant_clock)
    task = asyncio.create_task(discovery.run())
    discovery.discover(package)
    await pytest.eventually(lambda: discovery.failures and discovery.pending == 0)
    task.cancel()

    patterns = sorted(h.pattern for h in registry.handlers)
    assert patterns == ["order.created", "order.shipped", "user.signed_up"]
    (failure,) = discovery.failures
    assert failure.provider == "shop_for_test.handlers.broken"
    assert isinstance(failure.error, ZeroDivisionError)


async def test_a_module_object_may_be_discovered(running, registry, package):
    import importlib

    running.discover(importlib.import_module(f"{package}.handlers.orders"))
    await pytest.eventually(lambda: len(registry) == 2)


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
async def test_code_that_ends_like_a_program_is_a_failed_provider(running, error):
    class Fatal(Orders):
        def __init__(self):
            raise error

    running.register(Fatal)
    running.register(Orders)
    await pytest.eventually(lambda: not running.pending)

    (failure,) = running.failures
    assert type(error).__name__ in str(failure.error)
    assert failure.attempts == 1


async def test_a_withdrawn_provider_never_comes_however_far_it_was(
    make, instant_clock, registry, measured
):
    class Slow(Orders):
        def __init__(self):
            started.set()
            assert go_on.wait(5)

    started, go_on = threading.Event(), threading.Event()
    discovery = make(instant_clock)
    queued = Orders()
    discovery.register(queued)
    assert discovery.unregister(queued) == 0
    task = asyncio.create_task(discovery.run())
    discovery.register(Slow)
    await asyncio.to_thread(started.wait, 5)
    assert discovery.pending == 1
    discovery.unregister(Slow)
    go_on.set()
    await discovery.wait_until_quiet()
    task.cancel()

    assert len(registry) == 0
    assert 0 == discovery.pending == measured.total(i.DISCOVERY_QUEUE_SIZE)


async def test_a_slow_constructor_does_not_hold_up_the_end(make, clock):
    class Slow(Orders):
        def __init__(self):
            go_on.wait(5)

    go_on = threading.Event()
    discovery = make(clock)
    task = asyncio.create_task(discovery.run())
    discovery.register(Slow)
    await pytest.settle()
    task.cancel()
    await asyncio.wait([task], timeout=2)

    assert task.done()
    go_on.set()


async def test_what_cannot_be_instantiated_is_left_to_what_derives_from_it(
    running, registry, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "abstract_for_test.py").write_text(
        textwrap.dedent("""
        import abc
        from typing import Protocol
        from evmon import event_handler

        class Base(abc.ABC):
            @event_handler("a")
            async def handle(self, event): ...

            @abc.abstractmethod
            def missing(self): ...

        class Seam(Protocol):
            @event_handler("b")
            async def handle(self, event): ...

        class Real(Base):
            def missing(self): ...
        """)
    )
    running.discover("abstract_for_test")
    await pytest.eventually(lambda: not running.pending)

    assert ["a"] == [handler.pattern for handler in registry.handlers]
    assert () == running.failures


async def test_a_class_is_not_made_where_an_instance_of_it_is_registered(
    running, registry, package
):
    import importlib

    orders = importlib.import_module(f"{package}.handlers.orders").Orders()
    running.register(orders)
    running.discover(f"{package}.handlers.orders")
    await pytest.eventually(lambda: not running.pending)

    assert ["order.created", "order.shipped"] == [h.pattern for h in registry.handlers]
