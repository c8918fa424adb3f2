"""T1: consumers and Redis are killed, and the network is cut, under load."""

import asyncio
import time
from typing import Any

from chaos.checker import Load, check
from chaos.result import Options, Result
from chaos.scrapes import scrape_all, total, untrue
from chaos.world import World, world

EVENTS = 100_000
CONSUMERS = 3
KILLS = 40
RESTARTS = 4
CUTS = 6
CUT_SECONDS = 0.5
RATE = 4000.0
LATER = 0.02
"""Share of events whose handler wants another try, half of them from Redis' schedule."""


async def run(options: Options) -> list[Result]:
    """Publish, break things at random moments, and count."""
    events = options.events or EVENTS
    return [
        await _run(options, events),
        await _run(options, events // 4, many=True),
    ]


async def _run(options: Options, events: int, *, many: bool = False) -> Result:
    scale = events / EVENTS
    kills = max(round(KILLS * scale), 2)
    restarts = max(round(RESTARTS * scale), 1)
    cuts = max(round(CUTS * scale), 1)
    seconds = options.seconds or events / RATE
    async with world(options.seed) as w:
        started = time.monotonic()
        for _ in range(CONSUMERS):
            w.consumer(lease=1.0, **({"many": 1} if many else {"later": LATER}))
        await w.ready()
        w.publisher(events, rate=events / seconds)
        what = ["kill"] * kills + ["restart"] * restarts + ["cut"] * cuts
        await faults(w, what, seconds)
        await w.published()
        await w.settled()
        load = Load(w.kills, w.proxy.cuts, w.server.restarts, CONSUMERS)
        truth = w.truth()
        verdict = check(truth, load)
        figures: dict[str, Any] = dict(verdict.figures)
        problems = [*verdict.problems, *w.crashes]
        lost = total(await scrape_all(w), "evmon_events_lost_total")
        if lost:
            problems.append(f"{lost} events are reported lost, in truth none")
        if not many:
            told, untruths = await untrue(w)
            figures["runs told"] = f"{told:,} of {len(truth.handled):,}"
            problems += untruths
        took = time.monotonic() - started
    breaks = {"kills": w.kills, "Redis kills": w.server.restarts, "cuts": w.proxy.cuts}
    name = "T1 kills, many events in one call" if many else "T1 kills"
    return Result(name, {**figures, **breaks}, problems, took)


async def faults(w: World, what: list[str], seconds: float) -> None:
    """Do all of it, in any order, at random moments within some seconds."""
    w.rng.shuffle(what)
    moments = sorted(w.rng.uniform(0.05, 0.95) * seconds for _ in what)
    started = time.monotonic()
    for kind, moment in zip(what, moments, strict=True):
        await asyncio.sleep(max(started + moment - time.monotonic(), 0))
        if kind == "kill":
            w.restart(w.rng.choice(w.workers))
        elif kind == "restart":
            await w.server.kill()
        else:
            await w.proxy.cut(CUT_SECONDS)
