"""Kills consumers and Redis, and cuts the network, under load."""

import asyncio
import time
from typing import Any

from chaos.checker import FaultCounts, check
from chaos.metrics import compare_with_journals, metric_sum, scrape_all
from chaos.result import Options, Result
from chaos.testbed import Testbed, start_testbed

EVENTS = 100_000
CONSUMERS = 3
KILLS = 40
RESTARTS = 4
CUTS = 6
CUT_SECONDS = 0.5
RATE = 4000.0
RETRY_SHARE = 0.02
"""Share of events retried once: half of them in the process, half scheduled in Redis."""


async def run(options: Options) -> list[Result]:
    """All events one by one, then a quarter of them with batch handlers."""
    events = options.events or EVENTS
    return [
        await _run(options, events),
        await _run(options, events // 4, batch_handler=True),
    ]


async def _run(options: Options, events: int, *, batch_handler: bool = False) -> Result:
    scale = events / EVENTS
    kills = max(round(KILLS * scale), 2)
    restarts = max(round(RESTARTS * scale), 1)
    cuts = max(round(CUTS * scale), 1)
    seconds = options.seconds or events / RATE
    async with start_testbed(options.seed) as bed:
        started = time.monotonic()
        mode = {"batch_handler": 1} if batch_handler else {"retry_share": RETRY_SHARE}
        for _ in range(CONSUMERS):
            bed.start_consumer(lease=1.0, **mode)
        await bed.wait_until_ready()
        bed.start_publisher(events, rate=events / seconds)
        kinds = ["kill"] * kills + ["restart"] * restarts + ["cut"] * cuts
        await inject_faults(bed, kinds, seconds)
        await bed.wait_until_published()
        await bed.wait_until_settled()
        faults = FaultCounts(bed.kills, bed.proxy.cuts, bed.server.restarts, CONSUMERS)
        outcome = bed.outcome()
        verdict = check(outcome, faults)
        figures: dict[str, Any] = dict(verdict.figures)
        problems = [*verdict.problems, *bed.crashes]
        lost = metric_sum(await scrape_all(bed), "evmon_events_lost_total")
        if lost:
            problems.append(f"{lost} events reported as lost, none expected")
        if not batch_handler:
            reported, differences = await compare_with_journals(bed)
            figures["runs reported"] = f"{reported:,} of {len(outcome.handled):,}"
            problems += differences
        took = time.monotonic() - started
    figures |= {
        "kills": bed.kills,
        "Redis kills": bed.server.restarts,
        "cuts": bed.proxy.cuts,
    }
    name = "T1 kills, batch handlers" if batch_handler else "T1 kills"
    return Result(name, figures, problems, took)


async def inject_faults(bed: Testbed, kinds: list[str], seconds: float) -> None:
    """Inject faults in random order at random moments.

    Args:
        bed: testbed to break.
        kinds: kind of each fault: ``kill``, ``restart`` or ``cut``.
        seconds: duration of the load.
    """
    bed.rng.shuffle(kinds)
    moments = sorted(bed.rng.uniform(0.05, 0.95) * seconds for _ in kinds)
    started = time.monotonic()
    for kind, moment in zip(kinds, moments, strict=True):
        await asyncio.sleep(max(started + moment - time.monotonic(), 0))
        if kind == "kill":
            bed.restart(bed.rng.choice(bed.consumers))
        elif kind == "restart":
            await bed.server.kill()
        else:
            await bed.proxy.cut(CUT_SECONDS)
