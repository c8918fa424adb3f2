"""The bus as its user sees it: start, publish, look, stop."""

import asyncio
import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import weakref
from datetime import datetime, timezone

import pydantic
import pytest

from evmon import (
    Batching,
    BusStateError,
    ConfigError,
    ConsumerConfig,
    DiscoveryError,
    Event,
    EventBus,
    InvalidEventError,
    MetricsConfig,
    PublishError,
    RetryPolicy,
    TransportError,
    event_handler,
    metrics_app,
)
from evmon._events import now


class Orders:
    def __init__(self):
        self.seen = []

    @event_handler("order.created")
    async def created(self, event: Event) -> None:
        self.seen.append(("created", event.data))

    @event_handler("order.*", retry=RetryPolicy(max_retries=5))
    def audit(self, event: Event) -> None:
        self.seen.append(("audit", event.data))


@pytest.fixture
def orders():
    return Orders()


@pytest.fixture
def bus(orders):
    bus = EventBus(service="shop", transport="memory://")
    bus.register(orders)
    return bus


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


async def test_leaving_the_bus_handles_what_was_published(bus, orders):
    async with bus:
        await bus.publish_many([("order.created", n) for n in range(100)])
        bus.publish_nowait("order.shipped", 1)

    assert len(orders.seen) == 201


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


async def test_stopping_releases_every_task_timer_thread_and_reference(orders):
    bus = EventBus(metrics=MetricsConfig(port=0))
    bus.register(orders)
    reference = weakref.ref(bus)
    async with bus:
        await bus.publish("order.created")
        assert bus.metrics_url.startswith("http://127.0.0.1:")
    del bus
    await pytest.settle()
    gc.collect()

    assert reference() is None

    assert len(asyncio.all_tasks()) == 1
    assert not [t for t in asyncio.get_running_loop()._scheduled if not t.cancelled()]


async def test_unregistered_and_dropped_a_provider_is_freed(bus):
    async with bus:
        provider = Orders()
        bus.register(provider)
        await pytest.eventually(lambda: len(bus.handlers) == 4)
        reference = weakref.ref(provider)
        bus.unregister(provider)
        del provider
        gc.collect()

        assert reference() is None


async def test_a_provider_may_be_taken_back_before_the_start(bus, orders):
    assert bus.unregister(orders) == 0
    async with bus:
        assert bus.handlers == ()


async def test_a_failing_body_still_drains(bus, orders):
    with pytest.raises(ZeroDivisionError):
        async with bus:
            await bus.publish("order.created")
            1 / 0  # noqa: B018

    assert len(orders.seen) == 2


async def test_a_cancelled_body_ends_the_bus_at_once():
    started = asyncio.Event()

    async def hang(event):
        started.set()
        await asyncio.sleep(60)

    bus = EventBus(consumer=ConsumerConfig(drain_timeout=60))
    bus.add_handler("a", hang)

    async def body():
        async with bus:
            await bus.publish("a")
            await asyncio.sleep(60)

    task = asyncio.create_task(body())
    await started.wait()
    task.cancel()
    await pytest.settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await pytest.settle()

    assert len(asyncio.all_tasks()) == 1


async def test_the_bus_may_be_entered_and_left_in_different_tasks(bus, orders):
    await asyncio.create_task(bus.start())
    await bus.publish("order.created")
    await asyncio.create_task(bus.stop())

    assert len(orders.seen) == 2


async def test_nobody_waits_for_a_bus_that_fell(monkeypatch):
    bus = EventBus(service="shop", batching=Batching(max_size=1, max_buffered=2))
    await bus.start()
    monkeypatch.setattr(bus._runtime.transport, "publish", _broken)
    waiting = [asyncio.create_task(bus.publish("order.created")) for _ in range(4)]
    await asyncio.wait_for(bus.wait(), 5)
    results = await asyncio.wait_for(
        asyncio.gather(*waiting, return_exceptions=True), 5
    )
    with pytest.raises(BusStateError, match="accepts no more events"):
        await bus.publish("order.created")
    with pytest.raises(ZeroDivisionError):
        await bus.stop()

    assert {type(result) for result in results} <= {PublishError, BusStateError}


async def test_a_part_that_breaks_is_heard_of(bus, monkeypatch, caplog):
    await bus.start()
    monkeypatch.setattr("evmon._publisher.Publisher._send", _broken)
    bus.publish_nowait("order.created")
    await asyncio.wait_for(bus.wait(), 5)
    with pytest.raises(ZeroDivisionError):
        await bus.stop()

    assert "the bus failed: ZeroDivisionError" in caplog.text


async def _broken(*_):
    raise ZeroDivisionError


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


def test_the_environment_overrides_what_the_code_says(monkeypatch):
    monkeypatch.setenv("EVMON_SERVICE", "other")
    monkeypatch.setenv("EVMON_RETRY_MAX_RETRIES", "9")
    monkeypatch.setenv("EVMON_CONSUMER_BATCH_SIZE", "7")
    monkeypatch.setenv("EVMON_THRESHOLDS_MEMORY_WARNING_MB", "1.5")
    monkeypatch.setenv("EVMON_AUTO_DISCOVERY", "off")

    settings = EventBus(service="shop")._settings

    assert settings.service == "other"
    assert settings.retry.max_retries == 9
    assert settings.consumer.batch_size == 7
    assert settings.thresholds.memory_warning_mb == 1.5
    assert settings.auto_discovery is False


def test_a_repr_never_shows_a_password():
    bus = EventBus(transport="redis://user:secret@localhost/0")

    assert "secret" not in repr(bus)


async def test_a_global_meter_provider_of_the_application_is_used(bus, orders):
    script = """
    import asyncio
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from evmon import EventBus, MetricsConfig

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    metrics.set_meter_provider(provider)

    def collected():
        return {
            metric.name: metric
            for resource in reader.get_metrics_data().resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def only(name):
        (point,) = collected()[name].data.data_points
        return point.value

    async def main():
        for _ in range(2):
            bus = EventBus()
            bus.add_handler("a", print)
            async with bus:
                await bus.publish("a")
                await asyncio.sleep(0.2)
                assert only("evmon.ready") == 1
                assert only("evmon.consumer.lag") == 0
                assert only("evmon.uptime") >= 0.2
                assert bus.monitor.get_metrics().discovery.registered == 1
        names = collected()
        assert "evmon.ready" not in names
        (point,) = names["evmon.discovery.handlers"].data.data_points
        assert point.value == 0, point
        assert sum(p.value for p in names["messaging.client.sent.messages"].data.data_points) == 2
        assert len(names["process.memory.usage"].data.data_points) == 1
        provider.shutdown()

    asyncio.run(main())
    """
    _python(script)


async def test_with_the_sdk_disabled_everything_works_and_nothing_is_measured():
    script = """
    import asyncio
    from evmon import EventBus

    async def main():
        seen = []
        bus = EventBus()
        bus.add_handler("a", seen.append)
        async with bus:
            await bus.publish("a")
            assert bus.monitor.get_metrics().cache.hit_rate is None
            assert bus.monitor.get_warnings() == ()
        assert seen

    asyncio.run(main())
    """
    _python(script, OTEL_SDK_DISABLED="true")


def _python(script, **environ):
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout


@pytest.mark.parametrize(("signals", "code"), [(1, 0), (2, 143)])
def test_run_drains_on_a_signal_and_ends_at_once_on_a_second(signals, code):
    script = """
    import asyncio, sys
    from evmon import EventBus, MetricsConfig

    bus = EventBus(metrics=MetricsConfig(port=0))

    async def slow(event):
        print("started", flush=True)
        await asyncio.sleep(0.5)
        print("finished", flush=True)

    async def publish(event): ...

    bus.add_handler("a", slow)
    original = bus.start

    async def start():
        await original()
        await bus.publish("a")

    bus.start = start
    bus.run()
    """
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "started\n"
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            import time

            time.sleep(0.1)
        output, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()

    assert code == process.returncode, errors
    assert ("finished\n" if signals == 1 else "") == output


async def test_preview_shows_what_would_be_discovered_and_starts_nothing(bus):
    class Needy:
        def __init__(self, database): ...

        @event_handler("b")
        def handle(self, event): ...

    bus.add_handler("a", print)
    bus.register(Needy)
    handlers, discovery = await bus.preview()

    assert [h.pattern for h in handlers] == ["a", "order.created", "order.*"]
    assert len(discovery.failures) == 1
    assert len(bus.handlers) == 1
    assert len(asyncio.all_tasks()) == 1


async def _get(app, path="/metrics"):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


async def test_metrics_app_serves_the_bus_that_runs(bus):
    app = metrics_app()
    assert (await _get(app))[0] == 503
    async with bus:
        status, body = await _get(app)
        own_status, _ = await _get(metrics_app(bus))

    assert 200 == status == own_status
    assert b"evmon_discovery_handlers 2.0" in body
    assert b"evmon_cache_hit_ratio" in body


async def test_whoever_stops_second_waits_for_the_first(bus):
    release = asyncio.Event()

    async def slow(event):
        await release.wait()

    bus.add_handler("slow", slow)
    await bus.start()
    await bus.publish("slow")
    await pytest.settle()
    first, second = (asyncio.create_task(bus.stop()) for _ in range(2))
    await pytest.settle()
    assert not second.done()
    release.set()
    await asyncio.gather(first, second)

    with pytest.raises(BusStateError, match="has stopped"):
        bus.register(Orders())


def test_handlers_may_go_when_the_loop_is_gone(bus, orders):
    async def main():
        async with bus:
            pass

    asyncio.run(main())
    bus.add_handler("late", print)

    assert bus.unregister(orders) == 2


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


@pytest.mark.parametrize("uvloop", [True, False])
def test_errors_of_handlers_name_nothing_that_led_to_them(uvloop):
    script = f"""
    import asyncio, logging, os, signal, sys, threading, time
    if not {uvloop}:
        sys.modules["uvloop"] = None
    from evmon import EventBus, MetricsConfig, RetryPolicy

    class Check(logging.Handler):
        def emit(self, record):
            if record.exc_info:
                print("context:", record.exc_info[1].__context__)

    class Publisher(threading.Thread):
        def run(self):
            while bus.metrics_url is None or not bus.routes.answer("GET", "/readyz", {{}}).status == 200:
                time.sleep(0.01)
            bus.publish_sync("a")

    async def fail(event):
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
        raise ValueError("mine")

    logging.getLogger("evmon").addHandler(Check())
    bus = EventBus(metrics=MetricsConfig(port=0), retry=RetryPolicy(max_retries=0))
    bus.add_handler("a", fail)
    Publisher(daemon=True).start()
    bus.run()
    """
    assert "context: None" in _python(script)


async def test_run_says_what_to_do_in_a_loop_or_a_thread(bus):
    with pytest.raises(BusStateError, match=r"await bus\.serve"):
        bus.run()
    with pytest.raises(BusStateError, match="main thread"):
        await asyncio.to_thread(bus.run)
