"""T3: replies get lost: commands are carried out, and nobody hears of it."""

import asyncio
import json
import time
from collections import Counter

from chaos.checker import Load, check, differences
from chaos.result import Options, Result
from chaos.scrapes import scrape_all, total
from chaos.world import STREAM, World, world

EVENTS = 20_000
SHARE = 0.01
RATE = 2000.0
HALF_OPEN = 3.0
"""Seconds: longer than the processes wait for an answer."""


async def run(options: Options) -> list[Result]:
    """Drop a hundredth of all replies; then let nothing through for a while."""
    events = options.events or EVENTS
    return [
        await _dropped(options.seed, events),
        await _half_open(options.seed + 1, events // 2),
    ]


async def _half_open(seed: int, events: int) -> Result:
    """A slow network, and then one that swallows everything without a word."""
    started = time.monotonic()
    async with world(seed) as w:
        for _ in range(3):
            w.consumer()
        await w.ready()
        w.proxy.faults.delay = 0.01
        w.publisher(events, RATE, chunk=20)
        for _ in range(2):
            await asyncio.sleep(0.7)
            await w.proxy.go_half_open(HALF_OPEN)
        w.proxy.faults.delay = 0
        await w.published()
        await w.settled()
        truth = w.truth()
        verdict = check(truth, Load(cuts=w.proxy.cuts))
        doubles = appended_twice(w)
        problems = [*verdict.problems, *w.crashes]
        if doubles:
            problems.append(f"{doubles} events were appended twice")
    figures = {
        **verdict.figures,
        "half-open s": 2 * HALF_OPEN,
        "appended twice": doubles,
        "refused": len(truth.refused),
    }
    return Result("T3 half-open", figures, problems, time.monotonic() - started)


async def _dropped(seed: int, events: int) -> Result:
    """A hundredth of all replies gets lost, for publishers and consumers alike."""
    started = time.monotonic()
    async with world(seed) as w:
        for _ in range(3):
            w.consumer()
        await w.ready()
        w.proxy.faults.stall_share = 0.2
        w.proxy.faults.drop_replies = SHARE
        w.publisher(events, RATE, chunk=20)
        await w.published()
        w.proxy.faults.drop_replies = 0
        await w.settled()
        await asyncio.sleep(2.5)
        truth = w.truth()
        verdict = check(truth, Load(cuts=w.proxy.dropped, consumers=1))
        texts = await scrape_all(w)
        dead = total(
            texts, "evmon_dead_letters_total", evmon_dead_letter_reason="rejected"
        )
        doubles = appended_twice(w)
        problems = [*verdict.problems, *w.crashes]
        problems += differences(
            {"dead letters": dead}, {"dead letters": len(truth.dead)}
        )
        if doubles:
            problems.append(f"{doubles} events were appended twice")
    figures = {
        **verdict.figures,
        "replies": w.proxy.replies,
        "dropped": w.proxy.dropped,
        "appended twice": doubles,
        "refused": len(truth.refused),
    }
    return Result("T3 lost replies", figures, problems, time.monotonic() - started)


def appended_twice(w: World) -> int:
    """Events that stand in the stream more than once."""
    ids: Counter[str] = Counter()
    after = "-"
    while page := w.server.ask("XRANGE", STREAM, after, "+", "COUNT", 1000):
        ids.update(json.loads(fields["event"])["id"] for _, fields in page)
        after = f"({page[-1][0]}"
    return sum(count - 1 for count in ids.values())
