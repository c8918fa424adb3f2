"""T9: strangers write anything to the stream."""

import json
import random
import string
from typing import Any

from chaos.files import handled
from chaos.result import Options, Result
from chaos.scrapes import parse, scrape_all
from chaos.world import DEAD, STREAM, world

PAYLOADS = 10_000
BATCH = 200
LEASE = 10.0
"""Long, so that a busy machine makes no duplicates: nothing is killed here."""
FOREIGN = "of another group"
Fields = dict[bytes, bytes]

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e308, 10**40, "", "x", "\x00", "\u2028"),
    *([], {}, [[]], {"": ""}, "9" * 5000, [None] * 100),
)


async def run(options: Options) -> list[Result]:
    """Write payloads of every kind, past evmon, and see where each one ends."""
    count = options.events or PAYLOADS
    rng = random.Random(options.seed)
    foreign = 0
    async with world(options.seed) as w:
        workers = [w.consumer(pattern="**", lease=LEASE) for _ in range(2)]
        await w.ready()
        for start in range(0, count, BATCH):
            entries = [_entry(rng) for _ in range(min(BATCH, count - start))]
            foreign += sum(e.get(b"group") == FOREIGN.encode() for e in entries)
            w.server.append(STREAM, list(entries))
        settled = await w.settled(120)
        dead = int(w.server.ask("XLEN", DEAD))
        runs = len(handled(w.folder))
        problems = [*w.crashes]
        if not settled:
            problems.append(f"pending, unread, scheduled at the end: {w.left()}")
        problems += [f"{x.name} crashed" for x in workers if not x.alive]
        ended = dead + runs + foreign
        if ended != count:
            problems.append(f"{ended} ends of {count} payloads")
        reasons: dict[str, int] = {}
        for letter in w.dead_letters():
            reason = letter["dead.reason"]
            reasons[reason] = reasons.get(reason, 0) + 1
        series = 0
        for text in await scrape_all(w):
            series = max(series, len(parse(text)))
    figures = {
        "payloads": count,
        "handled": runs,
        "dead letters": dead,
        **reasons,
        "for another group": foreign,
        "crashes": len(w.crashes),
        "series parsed": series,
    }
    return [Result("T9 fuzz", figures, problems)]


def _entry(rng: random.Random) -> Fields:
    """An entry of the stream: mostly an event field, and sometimes others beside it."""
    fields: Fields = {b"event": _payload(rng)}
    if rng.random() < 0.2:
        names = (b"attempts", b"handlers", b"first_failed", b"redriven", b"group", b"x")
        for name in rng.sample(names, rng.randint(1, 3)):
            fields[name] = rng.choice(
                (_bytes(rng, 40), b"nan", b"-inf", b"1e400", b"99999999999999999", b"")
            )
        # By chance it might be our own group's name; it must be known which it is.
        if b"group" in fields:
            fields[b"group"] = rng.choice((b"", b"chaos", FOREIGN.encode()))
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
        return raw[:-1] + b"," + raw[1:]  # every key twice
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
