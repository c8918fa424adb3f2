"""`settled`: wait until a bus has nothing left to do, or say what is left and why."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import anyio

from evmon._bus.bus import EventBus
from evmon._bus.runtime import Runtime
from evmon._discovery.providers import describe
from evmon._events import decode
from evmon._text import one_line
from evmon._transports.base import Received
from evmon._transports.memory import MemoryTransport
from evmon.errors import BusStateError, InvalidEventError
from evmon.testing._virtual_clock import VirtualClock, let_tasks_run

_POLL_SECONDS: Final = 0.005
_NAMED: Final = 3
"""Event types, providers and failures that a message names, of each kind."""


async def settled(bus: EventBus, within_seconds: float = 5.0) -> None:
    """Wait until every event is handled or dead-lettered, retries included.

    On a bus with a `VirtualClock`, the clock is moved to the next retry whenever no
    handler is running.

    Args:
        bus: a running bus on ``memory://``.
        within_seconds: maximum seconds to wait, in real time; 5 by default.

    Raises:
        TimeoutError: events or providers are left after that time; the message says
            which, and what they wait for.
        BusStateError: the bus was not started, uses another transport, or has stopped
            and left events unhandled.

    Example:
        ``await bus.publish("order.created"); await settled(bus)``
    """
    runtime, transport = bus._started(), memory_of(bus)
    with anyio.move_on_after(within_seconds):
        await let_tasks_run()
        while _left(runtime, transport) and not runtime.ended:
            await _let_time_pass(bus, runtime, transport)
    if not _left(runtime, transport):
        return
    reasons = "; ".join(_reasons(bus, runtime, transport))
    if runtime.ended:
        raise BusStateError(
            f"the bus has stopped, await settled() before that: {reasons}"
        )
    raise TimeoutError(f"not settled after {within_seconds:g} s: {reasons}")


def memory_of(bus: EventBus) -> MemoryTransport:
    """The transport of a bus on ``memory://``.

    Raises:
        BusStateError: the bus was not started, or uses another transport.
    """
    transport = bus._started().transport
    if not isinstance(transport, MemoryTransport):
        raise BusStateError("evmon.testing needs a bus on memory://")
    return transport


def _left(runtime: Runtime, transport: MemoryTransport) -> int:
    events = runtime.publisher.buffered + transport.length + transport.pending
    return events + runtime.discovery.pending


async def _let_time_pass(
    bus: EventBus, runtime: Runtime, transport: MemoryTransport
) -> None:
    clock = bus._clock
    if isinstance(clock, VirtualClock):
        waits_only = not (
            runtime.publisher.buffered
            or runtime.consumer.busy
            or runtime.discovery.scanning
            or (transport.backlog and not runtime.consumer.paused_for)
        )
        if waits_only and await clock.advance_to_next_timer():
            return
    await asyncio.sleep(_POLL_SECONDS)
    await let_tasks_run()


def _reasons(
    bus: EventBus, runtime: Runtime, transport: MemoryTransport
) -> Iterator[str]:
    """What is left, and what it waits for."""
    if runtime.publisher.buffered:
        yield f"{_events(runtime.publisher.buffered)} published and not sent"
    if transport.backlog:
        unread = _named(list(transport._ready))
        yield f"{unread} not read: {_why_unread(bus, runtime)}"
    if transport.pending:
        held = _named(list(transport._pending.values()))
        if runtime.consumer.busy:
            yield f"{held} being handled, the handlers have not returned"
        else:
            yield f"{held} waiting for a retry{_advice(bus)}"
    waiting = [entry for _, _, entry in transport._scheduled if entry.handlers]
    if waiting:
        seconds = max(transport._scheduled[0][0] - bus._clock.monotonic(), 0.0)
        first = f"the next in {seconds:.3g} s"
        yield f"{_named(waiting)} waiting for a retry, {first}{_advice(bus)}"
    unmatched = [entry for _, _, entry in transport._scheduled if not entry.handlers]
    if unmatched:
        yield f"{_named(unmatched)} without a handler until discovery has succeeded"
    if runtime.discovery.pending:
        subjects = runtime.discovery._queue.subjects
        names = [one if isinstance(one, str) else describe(one) for one in subjects]
        yield f"discovery has not finished: {_listed(names)}"
    failures = runtime.discovery.failures
    if failures and (unmatched or not bus.handlers):
        failed = [f"{one.provider}: {one_line(one.error)}" for one in failures]
        yield f"discovery failed: {_listed(failed)}"


def _why_unread(bus: EventBus, runtime: Runtime) -> str:
    if not bus.handlers:
        return "the bus has no handlers, register() them before you publish"
    paused = runtime.consumer.paused_for
    if paused:
        return f"the circuit breaker pauses reading for {paused:.3g} s"
    return f"{_events(runtime.consumer.in_flight)} in flight (max_concurrency)"


def _advice(bus: EventBus) -> str:
    if isinstance(bus._clock, VirtualClock):
        return ""
    return ": use EventBus(clock=VirtualClock()) or RetryPolicy(base_delay=0)"


def _named(entries: Sequence[Received]) -> str:
    types = list(dict.fromkeys(map(_type_of, entries)))
    return f"{_events(len(entries))} ({_listed(types)})"


def _type_of(entry: Received) -> str:
    try:
        return decode(entry.raw).type
    except InvalidEventError:
        return "not an event"


def _events(count: int) -> str:
    return f"{count} event{'s' if count != 1 else ''}"


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more} more" if more > 0 else "")
