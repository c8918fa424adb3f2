"""A running service and dead letters, for commands that read them."""

import asyncio
import threading

import pytest
from tests.cli.dead_letters import raw

from evmon import EventBus, MetricsConfig, Thresholds
from evmon._cli.app import main
from evmon._transports.base import DeadLetter
from evmon._transports.redis import RedisTransport

APP = """
from evmon import Event, EventBus, RetryPolicy, event_handler

class Orders:
    @event_handler("order.created", retry=RetryPolicy(max_retries=5))
    async def created(self, event: Event) -> None: ...

    @event_handler("order.*")
    def audit(self, event: Event) -> None: ...

class Needy:
    def __init__(self, database): ...

    @event_handler("a")
    def handle(self, event): ...

bus = EventBus(service="shop")
bus.register(Orders())
broken = EventBus(service="broken")
broken.register(Needy)
number = 7
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    name = f"app_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(APP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return name


@pytest.fixture
def running():
    """Runs a service in its own thread; returns its URL and its bus."""
    threads, stop = [], threading.Event()

    def run(**options):
        buses, ready = [], threading.Event()

        async def serve():
            bus = EventBus(
                service="shop",
                metrics=MetricsConfig(port=0, cache_seconds=0),
                thresholds=Thresholds(memory_warning_mb=5000, memory_critical_mb=9000),
                **options,
            )
            bus.add_handler("a", print)
            async with bus:
                buses.append(bus)
                ready.set()
                while not stop.is_set():
                    await asyncio.sleep(0.01)

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        threads.append(thread)
        assert ready.wait(10)
        return buses[0].metrics_url, buses[0]

    yield run
    stop.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def service(running):
    """A running service: its URL and its bus."""
    return running()


@pytest.fixture
def put(server):
    """Dead-letters events as a consumer does."""

    def put(*letters):
        async def fill():
            transport = RedisTransport(server.url, "shop")
            await transport.open()
            for number, (event_type, reason) in enumerate(letters, 1):
                await transport.publish([raw(event_type, number)])
                (received,) = await transport.read(1, 0.01)
                letter = DeadLetter(
                    *(reason, "builtins.ValueError", f"bad {number}", ("shop.h",)),
                    *(3, event_type, str(number)),
                )
                assert await transport.settle(received, [letter])
            await transport.close()

        asyncio.run(fill())

    return put


@pytest.fixture
def dlq(server, capsys):
    """Runs `evmon dlq`; returns exit code, output and errors."""

    def dlq(*arguments):
        where = ("--service", "shop", "--transport", server.url)
        code = main(["dlq", *arguments, *where])
        return code, *capsys.readouterr()

    return dlq
