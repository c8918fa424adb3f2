"""Helpers for testing handlers on a real bus with ``memory://``.

Example:
    >>> async def test_an_order_without_an_id_is_dead_lettered():
    ...     bus = EventBus(retry=RetryPolicy(base_delay=0))
    ...     bus.register(Orders())
    ...     async with bus:
    ...         await bus.publish("order.created", {})
    ...         await settled(bus)
    ...     (letter,) = dead_letters(bus)
    ...     assert letter.reason == "invalid_data"
"""

import asyncio
from datetime import datetime
from typing import Any

import anyio

from evmon._bus.bus import EventBus
from evmon._events import Event, check_event, new_id, now
from evmon._transports.base import DeadLetter
from evmon._transports.memory import MemoryTransport
from evmon.errors import BusStateError

__all__ = ["DeadLetter", "dead_letters", "make_event", "settled"]

_POLL_SECONDS = 0.005


def make_event(
    type: str,  # noqa: A002 - CloudEvents' word
    data: Any = None,
    *,
    id: str | None = None,  # noqa: A002 - CloudEvents' word
    source: str = "test",
    time: datetime | None = None,
) -> "Event[Any]":
    """Make an event, for calling a handler without a bus.

    Args:
        type: words joined by dots, for example ``order.created``.
        data: data of the event; None by default.
        id: id of the event; by default a new one.
        source: origin of the event; by default ``test``.
        time: time of the event, with a time zone; by default now.

    Returns:
        The event.

    Raises:
        InvalidEventError: an attribute is invalid by CloudEvents 1.0.

    Example:
        >>> make_event("order.created", {"id": 7}).data
        {'id': 7}
    """
    event = Event(
        id=new_id() if id is None else id,
        source=source,
        type=type,
        time=now() if time is None else time,
        data=data,
    )
    return check_event(event)


async def settled(bus: EventBus, within_seconds: float = 5.0) -> None:
    """Wait until every event is handled or dead-lettered, retries included.

    Args:
        bus: a running bus on ``memory://``.
        within_seconds: maximum seconds to wait; 5 by default.

    Raises:
        TimeoutError: events are left after that time; the message says how many.
        BusStateError: the bus was not started, or uses another transport.

    Example:
        ``await bus.publish("order.created"); await settled(bus)``
    """
    runtime = bus._started()
    transport = _memory(bus)

    def left() -> int:
        waiting = runtime.publisher.buffered + transport.length + transport.pending
        return waiting + runtime.discovery.pending

    with anyio.move_on_after(within_seconds):
        while left():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_POLL_SECONDS)
    if left():
        raise TimeoutError(
            f"{left()} events or providers are not done after {within_seconds:g} s;"
            " retry delays may be longer: use RetryPolicy(base_delay=0)"
        )


def dead_letters(bus: EventBus) -> tuple[DeadLetter, ...]:
    """The dead letters of a bus, oldest first; also after it has stopped.

    Args:
        bus: a bus on ``memory://``.

    Returns:
        For each its ``reason``, ``event_type``, ``event_id``, ``error_type``,
        ``error_message``, ``handlers`` and ``attempts``.

    Raises:
        BusStateError: the bus was not started, or uses another transport.

    Example:
        ``assert [letter.reason for letter in dead_letters(bus)] == ["rejected"]``
    """
    return tuple(entry.letter for entry in _memory(bus).dead_letters)


def _memory(bus: EventBus) -> MemoryTransport:
    transport = bus._started().transport
    if not isinstance(transport, MemoryTransport):
        raise BusStateError("evmon.testing needs a bus on memory://")
    return transport
