"""Each call of a handler starts from the context in which the bus was started."""

import asyncio
import decimal
from contextvars import ContextVar

import pytest
from tests.consumer_harness import raw

from evmon import Event, RetryLater, RetryPolicy

request_id = ContextVar("request_id", default="none")


def change():
    request_id.set("leaked")
    decimal.getcontext().prec = 3


def seen():
    return request_id.get(), decimal.getcontext().prec


async def sets_it(event):
    change()
    await asyncio.sleep(0)


async def fails(event):
    change()
    raise RuntimeError


async def retries_later(event):
    change()
    raise RetryLater(0)


async def is_cancelled_at_the_timeout(event):
    change()
    await asyncio.sleep(60)


async def takes_many(events: list[Event]):
    change()


def sets_it_in_a_thread(event):
    change()


@pytest.mark.parametrize(
    "leaking",
    [
        sets_it,
        fails,
        retries_later,
        is_cancelled_at_the_timeout,
        takes_many,
        sets_it_in_a_thread,
    ],
)
@pytest.mark.parametrize("in_thread", [False, True])
async def test_what_a_handler_sets_is_not_seen_by_later_calls(
    make_harness, leaking, in_thread
):
    found = []

    async def reads(event):
        found.append(seen())

    def reads_in_a_thread(event):
        found.append(seen())

    harness = make_harness(handler_timeout=0.05, max_concurrency=2)
    harness.on("leaking", leaking, RetryPolicy(max_retries=1, base_delay=0))
    harness.on("reading", reads_in_a_thread if in_thread else reads)
    async with harness:
        await harness.send(raw("leaking"), raw("leaking"))
        await harness.until_settled()
        await harness.send(*[raw("reading")] * 4)
        await harness.until_settled()

    assert [("none", decimal.getcontext().prec)] * 4 == found


async def test_a_handler_sees_what_was_set_before_the_bus_started(make_harness):
    found = []
    request_id.set("of the application")

    async def reads(event):
        found.append(request_id.get())

    harness = make_harness()
    harness.on("a", reads)
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert ["of the application"] == found


async def test_what_a_handler_sets_stays_across_its_own_awaits(make_harness):
    found = []

    async def waits(event):
        request_id.set(event.id)
        for _ in range(3):
            await asyncio.sleep(0.001)
        found.append(event.id == request_id.get())

    harness = make_harness()
    harness.on("a", waits)
    async with harness:
        await harness.send(*(raw("a", event_id=str(n)) for n in range(20)))
        await harness.until_settled()

    assert [True] * 20 == found


class Awaited:
    """An awaitable of a plain iterator, which has no `send`."""

    def __await__(self):
        change()
        return iter([None])


async def test_a_plain_function_may_return_any_awaitable(make_harness):
    harness = make_harness()
    harness.on("a", lambda event: Awaited())
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert [] == harness.reasons
    assert "none" == request_id.get()
