"""Dead letters of the service `shop`, for tests of `evmon dlq`."""

import asyncio

from tests.waiting import eventually

from evmon import Event, EventBus, RetryPolicy
from evmon._events import encode, now

STREAM = "evmon:{shop}:events"
DEAD = "evmon:{shop}:dead"
MIXED = [
    ("order.created", "handler_error"),
    ("order.shipped", "rejected"),
    ("user.left", "handler_error"),
]


def raw(event_type, number=1):
    return encode(
        Event(id=str(number), source="s", type=event_type, time=now(), data=number)
    )


def handle(url, function, until, pattern="**"):
    """Run a service until `until()` is true."""

    async def run():
        bus = EventBus(service="shop", transport=url, retry=RetryPolicy(max_retries=0))
        for one in function if isinstance(function, tuple) else (function,):
            bus.add_handler(pattern, one)
        async with bus:
            await eventually(until)

    asyncio.run(run())
