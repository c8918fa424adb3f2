"""The handlers of a service, as the version before 0.1.0 and this one register them.

The data of an event says how handlers fail on it, for example ``{"charge": "later"}``.
"""

import asyncio

from evmon import (
    Delivery,
    Event,
    EventBus,
    Reject,
    RetryLater,
    RetryPolicy,
    event_handler,
)

calls = []
"""Handler, id of the event and attempt of each call; no attempt in a batch."""

failing = True
"""Whether handlers do what the data says."""

HOW_TO_FAIL = {
    "later": (RetryLater, 3600),
    "reject": (Reject, "no such order"),
    "error": (ValueError, "no money"),
}


async def called(handler, event, attempt=None):
    calls.append((handler, event.id, attempt))
    how = event.data.get(handler) if failing else None
    if how == "hang":
        await asyncio.sleep(3600)
    elif how:
        error, reason = HOW_TO_FAIL[how]
        raise error(reason)


class Base:
    @event_handler("book.bought")
    async def bought(self, event: Event, delivery: Delivery) -> None:
        await called(type(self).__name__, event, delivery.attempt)


class Books(Base): ...


class Toys(Base): ...


class Orders:
    @event_handler("order.created")
    async def created(self, event: Event, delivery: Delivery) -> None:
        await called("created", event, delivery.attempt)

    @event_handler("order.created")
    async def charge(self, event: Event, delivery: Delivery) -> None:
        await called("charge", event, delivery.attempt)


@event_handler("stock.*")
async def count(events: list[Event]) -> None:
    for event in events:
        await called("count", event)


def service(url, max_retries=1, **settings):
    """The bus, with its handlers in the order in which both versions register them."""
    retry = RetryPolicy(max_retries=max_retries, base_delay=0.001)
    bus = EventBus("shop", url, retry=retry, **settings)
    for provider in (Books(), Toys(), Orders(), count):
        bus.register(provider)
    return bus
