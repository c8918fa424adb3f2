"""Appends random entries to the stream; each must be handled or dead-lettered."""

import json
import random
import string
from collections import Counter
from typing import Any

from chaos.journal import handled_ids
from chaos.metrics import parse_samples, scrape_all
from chaos.result import Options, Result
from chaos.testbed import STREAM, start_testbed

PAYLOADS = 10_000
BATCH = 200
LEASE = 10.0
"""Seconds; long enough that no lease expires on a busy machine."""
OTHER_GROUP = b"other"
Fields = dict[bytes, bytes]

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e308, 10**40, "", "x", "\x00", "\u2028"),
    *([], {}, [[]], {"": ""}, "9" * 5000, [None] * 100),
)


async def run(options: Options) -> list[Result]:
    """Append payloads of all kinds, and count what became of them."""
    count = options.events or PAYLOADS
    rng = random.Random(options.seed)
    other_group = 0
    async with start_testbed(options.seed) as bed:
        for _ in range(2):
            bed.start_consumer(pattern="**", lease=LEASE)
        await bed.wait_until_ready()
        for start in range(0, count, BATCH):
            entries = [_entry(rng) for _ in range(min(BATCH, count - start))]
            other_group += sum(e.get(b"group") == OTHER_GROUP for e in entries)
            bed.server.append(STREAM, list(entries))
        settled = await bed.wait_until_settled(120)
        letters = bed.dead_letters()
        # An entry that names several handlers has a dead letter for each of them.
        dead = len({letter["dead.id"] for letter in letters})
        runs = len(handled_ids(bed.folder))
        problems = [*bed.crashes]
        if not settled:
            problems.append(
                f"pending, unread, scheduled at the end: {bed.unfinished()}"
            )
        accounted = dead + runs + other_group
        if accounted != count:
            problems.append(f"{accounted} of {count} payloads are accounted for")
        reasons = Counter(letter["dead.reason"] for letter in letters)
        series = max(len(parse_samples(text)) for text in await scrape_all(bed))
    figures = {
        "payloads": count,
        "handled": runs,
        "dead letters": len(letters),
        **reasons,
        "for another group": other_group,
        "crashes": len(bed.crashes),
        "series parsed": series,
    }
    return [Result("T9 fuzz", figures, problems)]


def _entry(rng: random.Random) -> Fields:
    """A random entry; most have only the field ``event``."""
    fields: Fields = {b"event": _payload(rng)}
    if rng.random() < 0.2:
        names = (b"attempts", b"handlers", b"first_failed", b"redriven", b"group", b"x")
        for name in rng.sample(names, rng.randint(1, 3)):
            fields[name] = rng.choice(
                (_bytes(rng, 40), b"nan", b"-inf", b"1e400", b"99999999999999999", b"")
            )
        # Only known groups, so entries for another group can be counted.
        if b"group" in fields:
            fields[b"group"] = rng.choice((b"", b"chaos", OTHER_GROUP))
    if rng.random() < 0.02:
        del fields[b"event"]
        fields[_bytes(rng, 10)] = _bytes(rng, 10)
    if rng.random() < 0.002:
        fields |= {b"f%d" % n: b"" for n in range(1500)}
    return fields


def _payload(rng: random.Random) -> bytes:
    kind = rng.randrange(10)
    if kind == 0:
        return _bytes(rng, 400)
    if kind == 1:
        depth = rng.choice((60, 70, 1000, 100_000))
        return rng.choice((b"[", b'{"a":')) * depth
    if kind == 2:
        return _dumps(_event(rng) | {"data": "x" * rng.choice((1000, 270_000))})
    if kind == 3:
        raw = _dumps(_event(rng))
        return raw[:-1] + b"," + raw[1:]  # repeats every key
    if kind == 4:
        return b'{"id":"\\ud800","type":"\\udfff.x","source":"\\u0000"}'
    event = _event(rng)
    if kind in (5, 6):
        event[rng.choice(list(event))] = rng.choice(VALUES)
    elif kind == 7:
        del event[rng.choice(list(event))]
    mutable = bytearray(_dumps(event))
    if kind == 8:
        for _ in range(rng.randint(1, 5)):
            mutable[rng.randrange(len(mutable))] = rng.randrange(256)
    return bytes(mutable)


def _event(rng: random.Random) -> dict[str, Any]:
    word = "".join(rng.choices(string.ascii_letters + "é\u202e😀", k=6))
    return {
        "specversion": "1.0",
        "id": f"{rng.getrandbits(64):x}",
        "source": "fuzz",
        "type": rng.choice(("chaos.event", f"{word}.{word}", word)),
        "time": "2025-01-01T00:00:00Z",
        "data": {"value": rng.choice(VALUES)},
    }


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="replace")


def _bytes(rng: random.Random, limit: int) -> bytes:
    return rng.randbytes(rng.randint(0, limit))
