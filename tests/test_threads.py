"""Calls in threads, which may be left behind."""

import asyncio
import threading

import pytest
from tests.waiting import eventually

from evmon._threads import Threads


async def test_a_call_is_running_until_it_returns_though_nobody_awaits_it():
    threads, may_return = Threads(), threading.Event()
    calling = asyncio.create_task(threads.run("charge", may_return.wait))
    await eventually(lambda: threads.running)
    calling.cancel()
    await asyncio.wait([calling])

    assert ["charge"] == threads.running
    may_return.set()
    await eventually(lambda: not threads.running)


async def test_a_result_or_an_error_is_passed_on():
    threads = Threads()

    assert 7 == await threads.run("seven", lambda: 7)
    with pytest.raises(ZeroDivisionError):
        await threads.run("divide", lambda: 1 / 0)
    assert [] == threads.running


async def test_calls_beyond_the_limit_wait():
    threads, may_return = Threads(1), threading.Event()
    calls = [asyncio.create_task(threads.run(n, may_return.wait)) for n in "ab"]
    await eventually(lambda: threads.running)
    await asyncio.sleep(0.02)

    assert 1 == len(threads.running)
    may_return.set()
    await asyncio.gather(*calls)
