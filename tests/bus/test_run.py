"""The first signal drains a service, the second ends it at once."""

import asyncio
import signal
import subprocess
import sys
import textwrap

import pytest
from tests.shop import python

from evmon import BusStateError


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
        assert "started\n" == process.stdout.readline()
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


@pytest.mark.parametrize("uvloop", [True, False])
def test_handler_errors_have_no_context_from_run(uvloop):
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
    assert "context: None" in python(script)


async def test_run_is_refused_on_an_event_loop_and_in_a_thread(bus):
    with pytest.raises(BusStateError, match=r"await bus\.serve"):
        bus.run()
    with pytest.raises(BusStateError, match="main thread"):
        await asyncio.to_thread(bus.run)
