"""Signals are one for the process: every service in it drains, a second one ends it."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
from tests.shop import python
from tests.waiting import let_tasks_run

from evmon import BusStateError, EventBus, MetricsConfig
from evmon._bus.run import serve_until_signal

NUMBERS = (signal.SIGINT, signal.SIGTERM)

TWO_BUSES = """
import asyncio
{uvloop}
from evmon import ConsumerConfig, EventBus, MetricsConfig

first, second = (
    EventBus(name, metrics=MetricsConfig(port=0), consumer=ConsumerConfig(drain_timeout=9))
    for name in ("first", "second")
)

async def slow(event):
    print("started", flush=True)
    await asyncio.sleep(0.5)
    print("finished", flush=True)

async def publish(bus):
    while bus.routes is None or not bus.routes.answer("GET", "/readyz", {{}}).status == 200:
        await asyncio.sleep(0.01)
    await bus.publish("a")

async def main():
    for bus in (first, second):
        bus.add_handler("a", slow)
    await asyncio.gather(first.serve(), second.serve(), publish(first), publish(second))

asyncio.run(main())
"""


@pytest.mark.parametrize("uvloop", ["", "import uvloop; uvloop.install()"])
@pytest.mark.parametrize(("signals", "code"), [(1, 0), (2, 143)])
def test_a_signal_drains_all_buses_and_a_second_ends_them(signals, code, uvloop):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(TWO_BUSES.format(uvloop=uvloop))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "started\n" * 2 == process.stdout.readline() + process.stdout.readline()
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            threading.Event().wait(0.1)
        output, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()

    assert code == process.returncode, errors
    assert "finished\n" * (2 if signals == 1 else 0) == output


class Service:
    """A service that runs until it is told to stop."""

    def __init__(self):
        self.started = asyncio.Event()
        self.ended = asyncio.Event()
        self.may_drain = asyncio.Event()
        self.may_drain.set()

    async def __aenter__(self):
        self.started.set()

    async def __aexit__(self, *_):
        await self.may_drain.wait()

    async def wait(self):
        await self.ended.wait()


async def test_earlier_handlers_return_when_the_last_service_leaves():
    received = []

    def own(number, frame):
        received.append(number)

    before = {number: signal.signal(number, own) for number in NUMBERS}
    try:
        first, second = Service(), Service()
        serving = [
            asyncio.create_task(serve_until_signal(service))
            for service in (first, second)
        ]
        await first.started.wait()
        await second.started.wait()
        first.ended.set()
        await serving[0]
        assert own is not signal.getsignal(signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(serving[1], 5)

        assert [] == received
        assert [own, own] == [signal.getsignal(number) for number in NUMBERS]
        os.kill(os.getpid(), signal.SIGINT)
        assert [signal.SIGINT] == received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def test_a_service_that_comes_after_the_signal_stops_at_once():
    first, late = Service(), Service()
    first.may_drain.clear()
    serving = asyncio.create_task(serve_until_signal(first))
    await first.started.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await let_tasks_run()
    await asyncio.wait_for(serve_until_signal(late), 5)
    first.may_drain.set()
    await serving


async def test_a_signal_of_an_earlier_run_is_forgotten():
    for _ in range(2):
        service = Service()
        serving = asyncio.create_task(serve_until_signal(service))
        await service.started.wait()
        await let_tasks_run()
        assert not serving.done()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(serving, 5)


async def test_serve_is_refused_in_a_thread_which_receives_no_signals():
    bus = EventBus(metrics=MetricsConfig(port=0))
    with pytest.raises(BusStateError, match="use async with bus"):
        await asyncio.to_thread(lambda: asyncio.run(bus.serve()))


def test_a_keyboard_interrupt_after_serve_still_ends_asyncio_run():
    script = """
    import asyncio, os, signal, threading
    from evmon import EventBus, MetricsConfig

    # A shell that starts the tests in the background ignores SIGINT for them.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    async def main():
        bus = EventBus(metrics=MetricsConfig(port=0))
        asyncio.get_running_loop().call_later(0.3, os.kill, os.getpid(), signal.SIGTERM)
        await bus.serve()
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGINT)
        await asyncio.sleep(5)

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted")
    """
    assert "interrupted\n" == python(script)
