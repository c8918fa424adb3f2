"""Keys of the service `shop`, and functions that read its entries."""

import asyncio

from evmon import Event
from evmon._events import encode, now
from evmon._telemetry import instruments as i
from evmon._transports.base import DeadLetter

STREAM = "evmon:{shop}:events"
DEAD = "evmon:{shop}:dead"
RETRY = "evmon:{shop}:retry"
ENTRIES = "evmon:{shop}:retry:entries"
REASON = DeadLetter("handler_error", "builtins.ValueError", "no", ("h",), 3, "a", "1")


def lost(measured):
    return measured.total(i.EVENTS_LOST, **{i.LOSS_REASON: "trimmed"})


def pending(client, group="shop", stream=STREAM):
    return client.xpending(stream, group)["pending"]


def owners(client, group="shop"):
    found = client.xpending_range(STREAM, group, "-", "+", 1000)
    return {entry["consumer"] for entry in found}


async def read_all(transport, count, within=5.0):
    """Read until `count` entries arrived."""
    entries = []
    deadline = asyncio.get_running_loop().time() + within
    while len(entries) < count and asyncio.get_running_loop().time() < deadline:
        entries += await transport.read(100, 0.02)
    assert count == len(entries)
    return entries


async def read_for(transport, seconds):
    """Read for some seconds and return the entries."""
    entries = []
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        entries += await transport.read(100, 0.02)
    return entries


def an_event(event_type="a"):
    return encode(Event(id="1", source="s", type=event_type, time=now()))


def add_old_entries(client, numbers):
    """Add entries whose ids are far in the past, so that retention trims them."""
    pipe = client.pipeline(transaction=False)
    for number in numbers:
        pipe.xadd(STREAM, {"event": str(number)}, id=f"1000-{number}")
    pipe.execute()
