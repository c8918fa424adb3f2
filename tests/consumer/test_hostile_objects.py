"""Objects of user code that raise when they are looked at end no bus and no retry."""

import logging

import pytest
from tests.consumer_harness import raw

from evmon import RetryPolicy

ONCE = RetryPolicy(max_retries=0)


class HostileError(Exception):
    def _raise(self, *_):
        raise RuntimeError("do not look at me")

    __len__ = __str__ = __bool__ = __repr__ = _raise


class HostileProxy:
    def __getattr__(self, name):
        raise RuntimeError(name)


async def test_an_error_that_raises_when_it_is_looked_at_is_dead_lettered(make_harness):
    async def fails(event):
        raise HostileError

    harness = make_harness()
    harness.on("a", fails, ONCE)
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert ["handler_error"] == harness.reasons


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_returned_proxy_does_not_make_the_handler_run_again(
    make_harness, in_thread
):
    calls = []

    async def returns_proxy(event):
        calls.append(event.id)
        return HostileProxy()

    def returns_proxy_in_a_thread(event):
        calls.append(event.id)
        return HostileProxy()

    harness = make_harness()
    harness.on("a", returns_proxy_in_a_thread if in_thread else returns_proxy)
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert (["1"], []) == (calls, harness.reasons)


async def test_a_logging_filter_that_fails_ends_no_worker(make_harness, capsys):
    def fail(record):
        raise RuntimeError("the filter failed")

    handled = []

    async def fails(event):
        raise ValueError

    harness = make_harness()
    harness.on("a", fails, ONCE)
    harness.on("b", lambda event: handled.append(event.id))
    logger = logging.getLogger("evmon.consumer")
    logger.addFilter(fail)
    try:
        async with harness:
            await harness.send(raw("a"))
            await harness.until_settled()
            await harness.send(raw("b"))
            await harness.until_settled()
    finally:
        logger.removeFilter(fail)

    assert (["handler_error"], ["1"]) == (harness.reasons, handled)
    assert "the filter failed" in capsys.readouterr().err
