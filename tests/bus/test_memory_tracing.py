"""SIGUSR1 logs where a running service allocated the memory that it holds."""

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import tracemalloc
from contextlib import asynccontextmanager

import pytest
from tests.waiting import eventually

from evmon import EventBus, MetricsConfig


@asynccontextmanager
async def service():
    bus = EventBus(service="shop", metrics=MetricsConfig(port=0))
    task = asyncio.create_task(bus.serve())
    await eventually(lambda: bus.metrics_url)
    try:
        yield
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await task
        tracemalloc.stop()


async def usr1(caplog, expected):
    caplog.clear()
    os.kill(os.getpid(), signal.SIGUSR1)
    await eventually(lambda: expected in caplog.text)
    return caplog.messages


async def test_the_second_signal_logs_what_was_allocated_since_and_is_held(caplog):
    async with service():
        await usr1(caplog, "tracing allocations")
        held = [bytes(1000 + n % 10) for n in range(5000)]
        line = f"{__file__}:{inspect.currentframe().f_lineno - 1}"
        total, first, *_ = await usr1(caplog, line)
        del held

    assert total.endswith(
        " MB were allocated while tracing and are still held; the lines with the most:"
    )
    assert first.startswith("5.")
    assert first.endswith(f"blocks: {line}")
    assert not tracemalloc.is_tracing()


async def test_under_tracemalloc_the_first_signal_logs_what_is_held(caplog):
    tracemalloc.start()
    async with service():
        assert "MB were allocated" in (await usr1(caplog, "blocks:"))[0]


async def test_the_signal_is_left_to_an_application_that_handles_it():
    seen = []
    earlier = signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
    try:
        async with service():
            os.kill(os.getpid(), signal.SIGUSR1)
            await eventually(lambda: seen)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert [1, 1] == seen
    finally:
        signal.signal(signal.SIGUSR1, earlier)


async def test_after_the_service_the_signal_has_its_default_handler():
    async with service():
        assert signal.SIG_DFL != signal.getsignal(signal.SIGUSR1)

    assert signal.SIG_DFL == signal.getsignal(signal.SIGUSR1)


SERVICE = """
import logging
from evmon import EventBus, MetricsConfig

logging.basicConfig(format="%(message)s", level="INFO")
EventBus(service="shop", metrics=MetricsConfig(port=0)).run()
"""


@pytest.mark.slow
def test_a_service_that_runs_on_uvloop_answers_the_signal():
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        for number, expected in (
            (None, "shop started"),
            (signal.SIGUSR1, "tracing allocations"),
            (signal.SIGUSR1, "MB were allocated while tracing"),
            (signal.SIGTERM, "shop stopped"),
        ):
            if number is not None:
                process.send_signal(number)
            assert any(expected in line for line in process.stderr)
        assert 0 == process.wait(10)
    finally:
        process.kill()
        process.communicate()
