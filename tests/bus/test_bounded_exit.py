"""A handler that never ends does not keep its process alive, and its event is released."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tests.waiting import eventually

from evmon import EventBus
from evmon._bus import bounded_exit
from evmon._bus.bounded_exit import EXIT_GRACE, Draining
from evmon._cli.app import run_command
from evmon.errors import EXIT_UNFINISHED

pytestmark = pytest.mark.slow

DRAIN = 0.3

HANDLERS = """
import asyncio, os, sys, threading, time
{uvloop}
from evmon import ConsumerConfig, EventBus, MetricsConfig

async def swallows(event):
    print("started", flush=True)
    await refuses()

async def refuses():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            print("cancelled", flush=True)

async def cleans_up_for_ever(event):
    async def numbers():
        try:
            yield 1
            await asyncio.sleep(3600)
        finally:
            await refuses()

    async for _ in numbers():
        print("started", flush=True)

async def starts_a_task(event):
    asyncio.get_running_loop().task = asyncio.create_task(swallows(event))

async def cancellable(event):
    print("started", flush=True)
    await asyncio.sleep(3600)

in_thread = threading.Event()

def sleeps(event):
    print("started", flush=True)
    in_thread.set()
    time.sleep(3600)

def spins(event):
    print("started", flush=True)
    while True:
        pass

async def blocks_the_loop(event):
    print("started", flush=True)
    time.sleep(3600)

def make(name, handler):
    bus = EventBus(
        name,
        os.environ.get("TRANSPORT", "memory://"),
        metrics=MetricsConfig(port=0),
        consumer=ConsumerConfig(drain_timeout={drain}),
    )
    bus.add_handler("a", globals()[handler])
    start = bus.start

    async def start_and_publish():
        await start()
        await bus.publish("a")

    bus.start = start_and_publish
    return bus
"""

SERVE = """
async def main():
    await asyncio.gather(*(make(*bus).serve() for bus in {buses}))
    print("served", flush=True)

asyncio.run(main())
"""

USE = """
async def main():
    async with make("shop", {handler!r}):
        while "started" not in done:
            await asyncio.sleep(0.01)
    print("stopped", flush=True)
    os._exit(0)

done = set()
printed, print = print, lambda text, **_: (done.add(text), printed(text, flush=True))
asyncio.run(main())
"""


class Process:
    """A script in a process of its own, with the handlers above."""

    def __init__(self, script, *arguments, transport="memory://", uvloop=""):
        text = HANDLERS.format(drain=DRAIN, uvloop=uvloop) + textwrap.dedent(script)
        self._process = subprocess.Popen(
            [sys.executable, "-c", text, *arguments],
            env={**os.environ, "TRANSPORT": transport},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.output = self.errors = ""
        self.took = 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()

    def until_started(self, times=1):
        for _ in range(times):
            assert "started\n" == self._process.stdout.readline(), self.end().errors

    def terminate(self):
        self._process.send_signal(signal.SIGTERM)

    def end(self):
        """Wait for the end; returns the process."""
        started = time.monotonic()
        self.output, self.errors = self._process.communicate(timeout=20)
        self.took = time.monotonic() - started
        return self

    @property
    def code(self):
        return self._process.returncode


NAMED = {
    "swallows": "handler __main__.swallows goes on after its cancellation",
    "cleans_up_for_ever": "handler __main__.cleans_up_for_ever goes on after its",
    "sleeps": "handler __main__.sleeps still runs in a thread",
    "spins": "handler __main__.spins still runs in a thread",
}


def test_the_exit_code_is_in_the_help_and_in_the_guide():
    assert f" {EXIT_UNFINISHED} if a handler did not end" in run_command.help
    guide = Path(__file__).parents[2] / "docs" / "guide.md"
    assert (
        f"| {EXIT_UNFINISHED} (`evmon.errors.EXIT_UNFINISHED`) |" in guide.read_text()
    )


@pytest.mark.parametrize("handler", NAMED)
async def test_the_process_ends_and_another_consumer_has_the_event_at_once(
    server, redis_server, handler
):
    handled = []
    script = f"make('shop', {handler!r}).run()"
    with Process(script, transport=redis_server.url) as process:
        await asyncio.to_thread(process.until_started)
        other = EventBus("shop", redis_server.url)
        other.add_handler("a", handled.append)
        async with other:
            process.terminate()
            ending = asyncio.create_task(asyncio.to_thread(process.end))
            await eventually(lambda: handled, within=DRAIN + 4)
            await ending

    assert EXIT_UNFINISHED == process.code
    assert DRAIN < process.took < DRAIN + EXIT_GRACE + 3
    assert NAMED[handler] in process.errors
    assert f"still running: __main__.{handler}" in process.errors
    assert 2 + 1 >= process.output.count("cancelled"), (
        "those of the loop's end included"
    )


@pytest.mark.parametrize("uvloop", ["", "import uvloop; uvloop.install()"])
@pytest.mark.parametrize("handlers", [("swallows", "cancellable"), ("sleeps", "spins")])
def test_all_buses_of_a_process_have_one_deadline(handlers, uvloop):
    buses = list(zip(("first", "second"), handlers, strict=True))
    with Process(SERVE.format(buses=buses), uvloop=uvloop) as process:
        process.until_started(2)
        process.terminate()
        process.end()

    assert EXIT_UNFINISHED == process.code
    assert DRAIN + EXIT_GRACE + 3 > process.took
    assert "served\n" in process.output, "the caller goes on, and may clean up"
    names = [f"__main__.{handler}" for handler in handlers if handler != "cancellable"]
    assert process.errors.endswith(f"still running: {', '.join(names)}\n")


def test_a_handler_that_blocks_the_event_loop_is_named():
    with Process("make('shop', 'blocks_the_loop').run()") as process:
        process.until_started()
        process.terminate()
        process.end()

    assert EXIT_UNFINISHED == process.code
    assert "still running: __main__.blocks_the_loop" in process.errors


def test_a_task_that_a_handler_left_does_not_keep_the_process_alive():
    with Process("make('shop', 'starts_a_task').run()") as process:
        process.until_started()
        process.terminate()
        process.end()

    assert EXIT_UNFINISHED == process.code
    assert "still running: no handler" in process.errors


def test_a_provider_whose_constructor_never_returns_does_not_keep_the_process_alive():
    script = """
    from evmon import event_handler

    class Slow:
        def __init__(self):
            sleeps(None)

        @event_handler("b")
        async def handle(self, event): ...

    bus = make("shop", "cancellable")
    bus.register(Slow)
    bus.run()
    """
    with Process(script) as process:
        process.until_started()
        process.terminate()
        process.end()

    assert EXIT_UNFINISHED == process.code
    assert "still running: __main__.Slow" in process.errors


def test_a_process_whose_handlers_end_in_time_exits_with_0():
    with Process(SERVE.format(buses=[("shop", "cancellable")])) as process:
        process.until_started()
        process.terminate()
        process.end()

    assert 0 == process.code, process.errors
    assert DRAIN + EXIT_GRACE > process.took


def test_a_bus_that_fails_does_not_wait_for_its_threads():
    script = """
    bus = make("shop", "sleeps")
    start = bus.start

    async def start_and_break():
        await start()
        await asyncio.to_thread(in_thread.wait)
        bus._runtime._task.cancel()

    bus.start = start_and_break
    bus.run()
    """
    with Process(script) as process:
        process.until_started()
        process.end()

    assert EXIT_UNFINISHED == process.code
    assert "still running: __main__.sleeps" in process.errors


@pytest.mark.parametrize("handler", ["swallows", "sleeps"])
def test_a_bus_within_an_application_returns_and_leaves_the_handler_behind(handler):
    with Process(USE.format(handler=handler)) as process:
        process.end()

    assert 0 == process.code
    assert "stopped\n" in process.output
    assert NAMED[handler] in process.errors
    assert 10 > process.took


async def test_a_later_service_does_not_make_an_abandoned_handler_forgotten(
    monkeypatch,
):
    ended = []
    monkeypatch.setattr(bounded_exit, "EXIT_GRACE", 0.3)
    monkeypatch.setattr(bounded_exit, "_report", lambda _: None)
    monkeypatch.setattr(bounded_exit.os, "_exit", ended.append)
    process = bounded_exit.BoundedExit()

    with process.watch(Draining(0.0, lambda: ["shop.h"])):
        pass
    with process.watch(Draining(0.0)):
        pass
    await eventually(lambda: ended)

    assert [EXIT_UNFINISHED] == ended
