"""A running service and dead letters, for commands that read them."""

import asyncio
import threading

import pytest
from tests.cli.dead_letters import raw

from evmon import EventBus, MetricsConfig, Thresholds
from evmon._cli.app import main
from evmon._transports.base import DeadLetter
from evmon._transports.redis import RedisTransport


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
                assert await transport.settle(received, letter, None)
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
