"""What is published as a type arrives as that type, on every transport.

The types are the same in every run: whether a change passes must not depend on chance.
To try 2000 others: ``EVMON_TEST_EXAMPLES=2000 python -m pytest --timeout=0
tests/transports/bus/test_round_trip.py -k memory``, with ``--hypothesis-seed=N`` to repeat
a run.
"""

import asyncio
import logging
import os
import threading

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.generated_types import ANY_TYPE

from evmon import EventBus, RetryPolicy

EXAMPLES = os.environ.get("EVMON_TEST_EXAMPLES")


class Line(logging.Handler):
    """A running bus, in a thread of its own, over which values are sent one by one."""

    def __init__(self, url):
        super().__init__(logging.ERROR)
        self._bus = EventBus("shop", url, retry=RetryPolicy(max_retries=0))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._received = None
        self._types = 0

    def __enter__(self):
        self._thread.start()
        self._run(self._bus.start())
        logging.getLogger("evmon.consumer").addHandler(self)
        return self

    def __exit__(self, *_):
        logging.getLogger("evmon.consumer").removeHandler(self)
        self._run(self._bus.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, awaitable):
        return asyncio.run_coroutine_threadsafe(awaitable, self._loop).result(30)

    def emit(self, record):
        if self._received is not None and not self._received.done():
            self._received.set_exception(AssertionError(record.getMessage()))

    def send(self, kind, value):
        """Publish a value for a handler that asks for its type; returns what it gets."""
        return self._run(self._send(kind, value))

    async def _send(self, kind, value):
        received = self._received = self._loop.create_future()

        async def handle(data):
            received.set_result(data)

        handle.__annotations__["data"] = kind.hint
        self._types += 1
        self._bus.add_handler(f"type{self._types}", handle)
        await self._bus.publish(f"type{self._types}", value)
        return await received


def test_a_value_arrives_as_it_was_published(url):
    with Line(url) as line:

        @settings(max_examples=int(EXAMPLES or 60), derandomize=not EXAMPLES)
        @given(st.data())
        def check(data):
            kind = data.draw(ANY_TYPE, "type")
            value = data.draw(kind.values, "value")
            received = line.send(kind, value)
            assert value == received
            assert type(value) is type(received)

        check()
