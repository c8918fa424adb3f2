"""Helpers for testing handlers on a real bus with ``memory://``.

With pytest, the fixtures ``evmon_bus``, ``evmon_clock`` and ``evmon_history`` are there
without an import.

Example:
    >>> async def test_an_order_without_an_id_is_dead_lettered(evmon_bus):
    ...     evmon_bus.register(Orders())
    ...     await evmon_bus.publish("order.created", {})
    ...     await settled(evmon_bus)
    ...     (letter,) = dead_letters(evmon_bus)
    ...     assert letter.reason == "invalid_data"
"""

from datetime import datetime
from typing import Any

from evmon._bus.bus import EventBus
from evmon._clock import Clock
from evmon._events import Event, check_event, new_id, now
from evmon._history import Handled, History
from evmon._transports.base import DeadLetter
from evmon.errors import BusStateError
from evmon.testing._settled import memory_of, settled
from evmon.testing._virtual_clock import VirtualClock

__all__ = [
    "Clock",
    "DeadLetter",
    "Handled",
    "History",
    "VirtualClock",
    "dead_letters",
    "make_event",
    "record",
    "settled",
]


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
    return tuple(entry.letter for entry in memory_of(bus).dead_letters)


def record(bus: EventBus) -> History:
    """Record what is published and handled on a bus, from its start on.

    Args:
        bus: a bus that was not started yet.

    Returns:
        The history, which grows while the bus runs; the same for a second call.

    Raises:
        BusStateError: the bus was already started.

    Example:
        ``history = record(bus)``
    """
    if bus._runtime is not None:
        raise BusStateError("the bus was already started: record(bus) before that")
    if bus._history is None:
        bus._history = History()
    return bus._history
