"""Running services for the tests of commands."""

import asyncio
import threading

import pytest

from evmon import EventBus, MetricsConfig, Thresholds


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
