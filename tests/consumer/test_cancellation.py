"""A stray cancellation ends no worker, fails no other event, and is not repeated."""

import asyncio

from tests.consumer_harness import raw
from tests.waiting import eventually

from evmon import RetryPolicy
from evmon._transports.memory import MemoryTransport


async def test_an_idle_worker_survives_a_cancellation(make_harness):
    tasks, handled = [], []

    async def keeps_its_task(event):
        tasks.append(asyncio.current_task())
        handled.append(event.id)

    harness = make_harness()
    harness.on("a", keeps_its_task)
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()
        tasks[0].cancel()
        await asyncio.sleep(0.01)
        await harness.send(raw("a"))
        await harness.until_settled()

    assert 2 == len(handled)


async def test_a_handler_that_cancels_its_task_and_returns_harms_nobody(make_harness):
    handled = []

    async def cancels(event):
        asyncio.current_task().cancel()

    async def awaits(event):
        await asyncio.sleep(0)
        handled.append(event.id)

    harness = make_harness(max_concurrency=1)
    harness.on("cancels", cancels)
    harness.on("awaits", awaits)
    async with harness:
        await harness.send(raw("cancels"), raw("awaits"), raw("cancels"))
        await harness.until_settled()
        await harness.send(raw("awaits"))
        await harness.until_settled()

    assert 2 == len(handled)
    assert [] == harness.reasons


async def test_a_handler_that_swallows_its_timeout_is_cancelled_once_and_named(
    make_harness, caplog, monkeypatch
):
    monkeypatch.setattr("evmon._consumer.invoker.STILL_RUNNING", 0.05)
    cancellations = 0

    async def goes_on(event):
        nonlocal cancellations
        for _ in range(20):
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:  # noqa: PERF203 - the fault of this test
                cancellations += 1

    harness = make_harness(handler_timeout=0.02)
    harness.on("a", goes_on)
    async with harness:
        await harness.send(raw("a"))
        await eventually(lambda: "goes on after its cancellation" in caplog.text)
        await harness.until_settled()

    assert 1 == cancellations
    assert "goes_on" in caplog.text


async def test_a_cancelled_handler_does_not_interrupt_settling(make_harness):
    tasks = []
    settling = asyncio.Event()
    goes_on = asyncio.Event()

    class SlowTransport(MemoryTransport):
        async def settle(self, *arguments):
            settling.set()
            await goes_on.wait()
            return await super().settle(*arguments)

    async def fails(event):
        tasks.append(asyncio.current_task())
        raise RuntimeError

    harness = make_harness()
    harness.transport.__class__ = SlowTransport
    harness.on("a", fails, RetryPolicy(max_retries=0))
    async with harness:
        await harness.send(raw("a"))
        await settling.wait()
        tasks[0].cancel()
        await asyncio.sleep(0.01)
        goes_on.set()
        await harness.until_settled()

    assert ["handler_error"] == harness.reasons
