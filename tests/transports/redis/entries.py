"""Keys of the shop, and looks at its entries: who has them and what becomes of them."""

import asyncio

from evmon import Event
from evmon._events import encode, now
from evmon._telemetry import instruments as i
from evmon._transports.base import DeadLetter

STREAM = "evmon:{shop}:events"
DEAD = "evmon:{shop}:dead"
RETRY = "evmon:{shop}:retry"
ENTRIES = "evmon:{shop}:retry:entries"
WHY = DeadLetter("handler_error", "builtins.ValueError", "no", ("h",), 3, "a", "1")


def lost(measured):
    return measured.total(i.EVENTS_LOST, **{i.LOSS_REASON: "trimmed"})


def pending(client, group="shop", stream=STREAM):
    return client.xpending(stream, group)["pending"]


def owners(client, group="shop"):
    found = client.xpending_range(STREAM, group, "-", "+", 1000)
    return {entry["consumer"] for entry in found}


async def read_all(transport, count, within=5.0):
    """Read until `count` entries came."""
    entries = []
    deadline = asyncio.get_running_loop().time() + within
    while len(entries) < count and asyncio.get_running_loop().time() < deadline:
        entries += await transport.read(100, 0.02)
    assert count == len(entries)
    return entries


async def read_for(transport, seconds):
    """Read for some time and return what came."""
    entries = []
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        entries += await transport.read(100, 0.02)
    return entries


def an_event(event_type="a"):
    return encode(Event(id="1", source="s", type=event_type, time=now()))
