"""T14: evmon is made wrong in seven ways; the checker must turn red at each."""

import asyncio
import time

from chaos.checker import Load, Verdict, check, differences
from chaos.mutants import MUTANTS
from chaos.result import Options, Result
from chaos.scrapes import scrape_all, total
from chaos.world import GROUP, STREAM, World, world

EVENTS = 1000
ENDLESS = 10**9
RATE = 400.0
IN_FLIGHT = 50
SECONDS = 0.2
"""A handler takes: two consumers hardly keep up, so each always has events in hand."""

WITHIN = 12.0
LONG_LEASE = 30.0


async def run(options: Options) -> list[Result]:
    """Both scenes as evmon is, then with each mutant; a mutant passes by being seen."""
    results = []
    for name in ("", *MUTANTS):
        started = time.monotonic()
        lost = [name == "client_retries"] if name else [False, True]
        for lost_replies in lost:
            verdict = await small(options.seed, name, lost_replies=lost_replies)
            results.append(_result(name, verdict, time.monotonic() - started))
    return results


async def small(seed: int, mutant: str, *, lost_replies: bool = False) -> Verdict:
    """A run of some seconds in which every mutant does harm.

    Args:
        seed: of all chance.
        mutant: applied in the consumers; empty for none.
        lost_replies: lose replies rather than kill processes.
    """
    env = {"EVMON_CHAOS_MUTANT": mutant} if mutant else {}
    async with world(seed) as w:
        w.publisher(EVENTS, poison=0.1)
        await w.published()
        # The publisher made the group; whoever makes it again must read from the start.
        w.server.ask("XGROUP", "DESTROY", STREAM, GROUP)
        for _ in range(2):
            w.consumer(
                env,
                lease=LONG_LEASE if lost_replies else 1.0,
                timeout=1.0,
                in_flight=IN_FLIGHT,
                seconds=SECONDS,
                drain=0.0,
            )
        await w.ready()
        load_on = w.publisher(ENDLESS, RATE, poison=0.1, chunk=20)
        await (_lose(w) if lost_replies else _kill(w))
        load_on.terminate()
        await w.published()
        await w.settled(WITHIN)
        truth = w.truth()
        load = Load(w.kills, w.proxy.dropped, consumers=2, in_flight=IN_FLIGHT)
        verdict = check(truth, load)
        verdict.problems.extend(w.crashes)
        if lost_replies:
            told = total(await scrape_all(w), "evmon_dead_letters_total")
            verdict.problems.extend(
                differences({"dead letters": told}, {"dead letters": verdict.dead})
            )
        return verdict


async def _kill(w: World) -> None:
    """Kill three times at random, and stop one in an orderly way, under load."""
    for number in range(4):
        await asyncio.sleep(w.rng.uniform(0.2, 0.4))
        worker = w.workers[0]
        if number == 3:
            await w.end(worker)
            new = w.consumer(worker.env, **worker.options)
        else:
            new = w.restart(worker)
        await w.ready(new)


async def _lose(w: World) -> None:
    """Lose a tenth of all replies for a while."""
    w.proxy.faults.drop_replies = 0.1
    await asyncio.sleep(2.5)
    w.proxy.faults.drop_replies = 0


def _result(name: str, verdict: Verdict, took: float) -> Result:
    if not name:
        return Result(
            "T14 evmon as it is", dict(verdict.figures), verdict.problems, took
        )
    seen = verdict.problems
    figures = {**verdict.figures, "seen as": "; ".join(seen)}
    return Result(f"T14 {name}", figures, [] if seen else ["not seen"], took)
