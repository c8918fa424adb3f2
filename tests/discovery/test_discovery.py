"""Discovery: providers are scanned in batches, concurrently, with retries."""

import asyncio
import gc
import sys
import textwrap
import threading
import weakref

import pytest
from tests.waiting import eventually, let_tasks_run

from evmon import DiscoveryConfig, RetryPolicy, event_handler
from evmon._clock import SYSTEM_CLOCK
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
    def make(clock, batch_size=10, policy=RetryPolicy(jitter="none"), **options):
        meter = measured.meter
        return Discovery(
            registry,
            DiscoveryConfig(batch_size=batch_size),
            cache=MetadataCache(300, clock, meter),
            policy=policy,
            retrier=Retrier(clock, RetryRecorder(meter, "discovery")),
            recorder=DiscoveryRecorder(meter),
            clock=clock,
            **options,
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


async def test_the_handlers_of_an_instance_are_registered(running, registry, measured):
    running.register(Orders())
    await let_tasks_run()

    names = [f"{__name__}.Orders.created", f"{__name__}.Orders.audit"]
    assert names == [h.name for h in registry.handlers]
    assert 1 == outcome(measured, "registered")
    assert 0 == running.pending == measured.total(i.DISCOVERY_QUEUE_SIZE)


async def test_a_class_is_instantiated_and_a_function_is_registered_itself(
    running, registry
):
    @event_handler("user.signed_up")
    async def welcome(event): ...

    running.register(Orders)
    running.register(welcome)
    await eventually(lambda: len(registry) == 3)


async def test_a_class_with_only_static_handlers_is_not_instantiated(running, registry):
    class Static:
        def __init__(self, needed): ...

        @staticmethod
        @event_handler("a")
        def handle(event): ...

    running.register(Static)
    await let_tasks_run()

    assert 1 == len(registry)


async def test_a_class_that_needs_arguments_fails_with_advice(running, caplog):
    class Needy:
        def __init__(self, database): ...

        @event_handler("a")
        def handle(self, event): ...

    running.register(Needy)
    await eventually(lambda: running.failures)

    (failure,) = running.failures
    assert 1 == failure.attempts
    assert "register an instance instead" in str(failure.error)
    assert "Needy, gave up after 1 attempts" in caplog.text


async def test_a_provider_without_handlers_is_counted_as_empty_and_logged(
    running, measured, caplog
):
    running.register(object())
    await let_tasks_run()

    assert 1 == outcome(measured, "empty")
    assert "has no handlers" in caplog.text
    assert 0 == running.pending


class FailingProvider:
    """Its constructor fails the first `failures` times."""

    failures = 0

    def __init__(self):
        if type(self).failures > 0:
            type(self).failures -= 1
            raise ConnectionError("the database is away")

    @event_handler("a")
    def handle(self, event): ...


async def test_a_failing_provider_is_retried_without_delaying_the_others(
    running, registry, clock, measured, monkeypatch
):
    monkeypatch.setattr(FailingProvider, "failures", 2)
    running.register(FailingProvider)
    running.register(Orders())
    await running.wait_until_quiet()
    await eventually(lambda: len(registry) == 2)

    assert 1 == running.pending
    for delay in (0.1, 0.2):
        await eventually(lambda: clock._sleepers)
        await clock.advance(delay)
    await eventually(lambda: len(registry) == 3)
    assert [0.1, 0.2] == clock.slept
    assert 2 == measured.total(
        i.RETRY_ATTEMPTS, **{"evmon.retry.component": "discovery"}
    )
    assert () == running.failures


async def test_a_provider_that_keeps_failing_is_reported_after_the_last_retry(
    make, instant_clock, monkeypatch, caplog, measured
):
    monkeypatch.setattr(FailingProvider, "failures", 99)
    discovery = make(instant_clock)
    task = asyncio.create_task(discovery.run())
    discovery.register(FailingProvider)
    await eventually(lambda: discovery.failures)
    task.cancel()

    (failure,) = discovery.failures
    assert 4 == failure.attempts
    assert isinstance(failure.error, ConnectionError)
    assert (
        "gave up after 4 attempts: ConnectionError: the database is away" in caplog.text
    )
    assert 1 == outcome(measured, "failed")
    assert 0 == measured.total(i.DISCOVERY_QUEUE_SIZE)


async def test_the_queue_is_processed_in_batches(make, clock, measured):
    discovery = make(clock, batch_size=10)
    for _ in range(25):
        discovery.register(Orders())
    task = asyncio.create_task(discovery.run())
    await let_tasks_run(200)
    task.cancel()

    assert 3 == measured.snapshot.distribution(i.DISCOVERY_BATCH_DURATION).count
    assert clock.time() == measured.total(i.DISCOVERY_LAST_RUN_TIME)


async def test_the_providers_of_a_batch_are_scanned_concurrently(make, clock):
    meeting = []

    class Slow:
        def __init__(self):
            meeting.append(1)
            for _ in range(500):
                if len(meeting) >= 2:
                    return
                import time

                time.sleep(0.01)
            raise AssertionError("the other provider was not scanned meanwhile")

        @event_handler("a")
        def handle(self, event): ...

    class AlsoSlow(Slow): ...

    discovery = make(clock)
    discovery.register(Slow)
    discovery.register(AlsoSlow)
    task = asyncio.create_task(discovery.run())
    await eventually(lambda: discovery.pending == 0)
    task.cancel()

    assert () == discovery.failures


async def test_numbers_follow_the_order_of_the_queue_not_of_the_constructors(
    make, clock, registry
):
    def orders(pattern, wait, finished):
        class Orders:
            def __init__(self):
                assert wait.wait(5)
                finished.set()

            @event_handler(pattern)
            def created(self, event): ...

        return Orders

    go, second_is_made = threading.Event(), threading.Event()
    go.set()
    discovery = make(clock)
    discovery.register(orders("a", second_is_made, threading.Event()))
    discovery.register(orders("b", go, second_is_made))
    task = asyncio.create_task(discovery.run())
    await eventually(lambda: len(registry) == 2)
    task.cancel()

    assert [("a", 1), ("b", 2)] == [(h.pattern, h.number) for h in registry.handlers]


async def test_registering_a_provider_again_replaces_its_handlers(running, registry):
    provider, other = Orders(), Orders()
    running.register(provider)
    running.register(other)
    await let_tasks_run()
    before = {handler.key for handler in registry.handlers}
    for _ in range(3):
        running.register(provider)
        await let_tasks_run()
        # Retries that the transport holds refer to handlers by key.
        assert before == {handler.key for handler in registry.handlers}

    assert 4 == len(registry)


async def test_an_unregistered_provider_is_garbage_collected(
    running, registry, measured
):
    provider = Orders()
    running.register(provider)
    await let_tasks_run()
    reference = weakref.ref(provider)

    assert 2 == running.unregister(provider)
    assert 0 == running.unregister(provider)
    del provider
    gc.collect()
    assert reference() is None
    assert 0 == len(registry)
    assert 0 == measured.total(i.CACHE_ENTRIES)


class Shelf:
    """Its constructor fails, with an error that refers to it."""

    made: "weakref.ref[Shelf]"

    def __init__(self):
        type(self).made = weakref.ref(self)
        try:
            self.missing  # noqa: B018
        except AttributeError as error:
            raise ValueError("no shelf") from error

    @event_handler("a")
    async def handle(self, event): ...


class Unfit:
    @event_handler("a")
    async def handle(self, event, more, than, fits): ...


async def test_a_provider_that_failed_can_be_freed_once_it_is_unregistered(
    make, instant_clock
):
    discovery = make(instant_clock)
    task = asyncio.create_task(discovery.run())
    unfit = Unfit()
    reference = weakref.ref(unfit)
    discovery.register(Shelf)
    discovery.register(unfit)
    await eventually(lambda: len(discovery.failures) == 2)

    discovery.unregister(Shelf)
    assert [f"{__name__}.Unfit instance"] == [f.provider for f in discovery.failures]
    discovery.unregister(unfit)
    del unfit
    gc.collect()
    task.cancel()

    assert () == discovery.failures
    assert Shelf.made() is None
    assert reference() is None


@pytest.mark.slow
async def test_ten_thousand_providers_registered_and_unregistered_leave_nothing(
    running, registry, measured
):
    loop = asyncio.get_running_loop()
    tasks_before = len(asyncio.all_tasks())
    for _ in range(100):
        providers = [Orders() for _ in range(100)]
        for provider in providers:
            running.register(provider)
        await running.wait_until_quiet()
        await eventually(lambda: running.pending == 0)
        for provider in providers:
            running.unregister(provider)
        del providers, provider
    gc.collect()
    await let_tasks_run()

    assert 0 == len(registry) == len(running._cache) == len(running._registrations)
    assert 0 == measured.total(i.CACHE_ENTRIES)
    assert tasks_before == len(asyncio.all_tasks())
    assert not [t for t in getattr(loop, "_scheduled", []) if not t.cancelled()]


async def test_register_can_be_called_from_other_threads(running, registry):
    await asyncio.gather(
        *(asyncio.to_thread(running.register, Orders()) for _ in range(20))
    )
    await eventually(lambda: len(registry) == 40)


async def test_an_empty_queue_does_not_wake_the_event_loop(running):
    """No timer is set and the event loop makes no iteration."""
    running.register(Orders())
    await running.wait_until_quiet()
    await let_tasks_run()
    loop = asyncio.get_running_loop()
    steps = []
    original = loop._run_once
    loop._run_once = lambda: (steps.append(1), original())
    await asyncio.sleep(0.5)
    loop._run_once = original

    assert [] == [t for t in loop._scheduled if not t.cancelled()]
    assert 2 >= len(steps), "at most for the timer of this test"


async def test_stopping_empties_the_queue(make, clock, measured):
    discovery = make(clock, policy=RetryPolicy(base_delay=60, max_delay=60))
    FailingProvider.failures = 1
    discovery.register(FailingProvider)
    task = asyncio.create_task(discovery.run())
    await eventually(lambda: clock._sleepers)
    assert 1 == measured.total(i.DISCOVERY_QUEUE_SIZE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert 0 == discovery.pending == measured.total(i.DISCOVERY_QUEUE_SIZE)
    assert 1 == len(asyncio.all_tasks())


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


async def test_a_package_is_searched_and_a_broken_module_is_reported(
    make, instant_clock, registry, package
):
    discovery = make(instant_clock)
    task = asyncio.create_task(discovery.run())
    discovery.discover(package)
    await eventually(lambda: discovery.failures and discovery.pending == 0)
    task.cancel()

    patterns = sorted(h.pattern for h in registry.handlers)
    assert ["order.created", "order.shipped", "user.signed_up"] == patterns
    (failure,) = discovery.failures
    assert "shop_for_test.handlers.broken" == failure.provider
    assert isinstance(failure.error, ZeroDivisionError)


async def test_a_failed_import_is_logged_with_its_line(
    make, instant_clock, package, tmp_path, caplog
):
    file = tmp_path / package / "handlers" / "broken.py"
    file.write_text("import json\n\njson.loads('{')\n")
    discovery = make(instant_clock)
    task = asyncio.create_task(discovery.run())
    discovery.discover(package)
    await eventually(lambda: discovery.failures)
    task.cancel()

    assert f"({file}:3)" in caplog.text


async def test_a_constructor_that_cannot_be_called_is_logged_with_its_line(
    running, caplog
):
    class Needy(Orders):
        def __init__(self, database): ...

    running.register(Needy)
    await eventually(lambda: running.failures)

    line = Needy.__init__.__code__.co_firstlineno
    assert f"({__file__}:{line})" in caplog.text


async def test_discover_accepts_a_module(running, registry, package):
    import importlib

    running.discover(importlib.import_module(f"{package}.handlers.orders"))
    await eventually(lambda: len(registry) == 2)


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
async def test_a_base_exception_in_a_constructor_fails_only_its_provider(
    running, error
):
    class Fatal(Orders):
        def __init__(self):
            raise error

    running.register(Fatal)
    running.register(Orders)
    await eventually(lambda: not running.pending)

    (failure,) = running.failures
    assert type(error).__name__ in str(failure.error)
    assert 1 == failure.attempts


async def test_a_provider_unregistered_while_queued_or_scanned_gets_no_handlers(
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
    assert 0 == discovery.unregister(queued)
    task = asyncio.create_task(discovery.run())
    discovery.register(Slow)
    await asyncio.to_thread(started.wait, 5)
    assert 1 == discovery.pending
    discovery.unregister(Slow)
    go_on.set()
    await discovery.wait_until_quiet()
    task.cancel()

    assert 0 == len(registry)
    assert 0 == discovery.pending == measured.total(i.DISCOVERY_QUEUE_SIZE)


async def test_stopping_does_not_wait_for_a_slow_constructor(make, clock):
    class Slow(Orders):
        def __init__(self):
            go_on.wait(5)

    go_on = threading.Event()
    discovery = make(clock)
    task = asyncio.create_task(discovery.run())
    discovery.register(Slow)
    await let_tasks_run()
    task.cancel()
    await asyncio.wait([task], timeout=2)

    assert task.done()
    go_on.set()


async def test_abstract_classes_and_protocols_are_left_to_their_subclasses(
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
    await eventually(lambda: not running.pending)

    assert ["a"] == [handler.pattern for handler in registry.handlers]
    assert () == running.failures


async def test_a_class_with_a_registered_instance_is_not_instantiated(
    running, registry, package
):
    import importlib

    orders = importlib.import_module(f"{package}.handlers.orders").Orders()
    running.register(orders)
    running.discover(f"{package}.handlers.orders")
    await eventually(lambda: not running.pending)

    assert ["order.created", "order.shipped"] == [h.pattern for h in registry.handlers]


@pytest.mark.parametrize("error", [None, ConnectionError()])
async def test_a_scan_that_takes_longer_than_the_limit_is_logged(
    make, clock, caplog, error
):
    class Slow(Orders):
        def __init__(self):
            clock.now += 2.5
            if error:
                raise error

    discovery = make(clock, batch_size=1, slow_after=2.4)
    task = asyncio.create_task(discovery.run())
    discovery.register(Slow)
    discovery.register(Orders)
    await eventually(lambda: "took" in caplog.text)
    await discovery.wait_until_quiet()
    task.cancel()

    (line,) = [message for message in caplog.messages if "took" in message]
    assert line.startswith(f"discovering provider {__name__}.")
    assert "Slow took 2.5 s: is its import or constructor slow?" in line


async def test_a_slow_import_is_logged(make, caplog, tmp_path, monkeypatch):
    (tmp_path / "slow_for_test.py").write_text("import time\ntime.sleep(0.2)\n")
    monkeypatch.syspath_prepend(tmp_path)
    discovery = make(SYSTEM_CLOCK, slow_after=0.1)
    task = asyncio.create_task(discovery.run())
    discovery.discover("slow_for_test")
    await eventually(lambda: not discovery.pending)
    task.cancel()

    assert "discovering provider slow_for_test took 0." in caplog.text
