"""Breaks evmon in several ways; the checker must detect each."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from chaos.checker import FaultCounts, Verdict, check, metric_differences
from chaos.metrics import metric_sum, scrape_all
from chaos.mutants import MUTANTS
from chaos.result import Options, Result
from chaos.runs.freeze_processes import freeze_all
from chaos.runs.slow_link import carry
from chaos.testbed import GROUP, STREAM, UNLIMITED, Testbed, start_testbed

EVENTS = 1000

RATE = 400.0
IN_FLIGHT = 50
HANDLER_SECONDS = 0.2
"""Long enough that both consumers always have events in flight."""
SETTLE_WITHIN = 12.0
LONG_LEASE = 30.0
"""Seconds; longer than the run, so lost replies cannot be repaired by a claim."""


async def run(options: Options) -> list[Result]:
    """Check unmodified evmon, then each mutant; a mutant passes if it is detected."""
    results = []
    for name in ("", *MUTANTS):
        started = time.monotonic()
        if name in _OTHER_FAULTS:
            found = await _OTHER_FAULTS[name](options.seed, name)
            results.append(_detection(name, found, time.monotonic() - started))
            continue
        lost = [name == "client_retries"] if name else [False, True]
        for lost_replies in lost:
            verdict = await check_mutant(options.seed, name, lost_replies=lost_replies)
            results.append(_result(name, verdict, time.monotonic() - started))
    return results


async def _freeze(seed: int, mutant: str) -> Result:
    return await freeze_all(seed, 4, mutant)


async def _slow_link(seed: int, mutant: str) -> Result:
    return await carry(seed, 60, mutant)


_OTHER_FAULTS: Final[dict[str, Callable[[int, str], Awaitable[Result]]]] = {
    "unfenced_acks": _freeze,
    "batches_by_count": _slow_link,
}
"""The faults that show a mutant which neither kills nor lost replies do."""


def _detection(name: str, found: Result, took: float) -> Result:
    figures = {**found.figures, "detected by": "; ".join(found.problems)}
    problems = [] if found.problems else ["not detected"]
    return Result(f"T14 {name}", figures, problems, took)


async def check_mutant(
    seed: int, mutant: str, *, lost_replies: bool = False
) -> Verdict:
    """Inject faults for some seconds, and check the guarantees.

    Args:
        seed: seed of all randomness.
        mutant: name of the mutant for the consumers; empty for none.
        lost_replies: drop replies instead of killing processes.
    """
    env = {"EVMON_CHAOS_MUTANT": mutant} if mutant else {}
    async with start_testbed(seed) as bed:
        bed.start_publisher(EVENTS, poison_share=0.1)
        await bed.wait_until_published()
        # A consumer must recreate the group at the start of the stream.
        bed.server.execute("XGROUP", "DESTROY", STREAM, GROUP)
        for _ in range(2):
            bed.start_consumer(
                env,
                lease=LONG_LEASE if lost_replies else 1.0,
                timeout=1.0,
                max_concurrency=IN_FLIGHT,
                handler_seconds=HANDLER_SECONDS,
                drain_timeout=0.0,
            )
        await bed.wait_until_ready()
        publisher = bed.start_publisher(
            UNLIMITED, RATE, poison_share=0.1, batch_size=20
        )
        await (_drop_replies(bed) if lost_replies else _kill(bed))
        publisher.terminate()
        await bed.wait_until_published()
        await bed.wait_until_settled(SETTLE_WITHIN)
        faults = FaultCounts(
            bed.kills, bed.proxy.dropped, consumers=2, max_concurrency=IN_FLIGHT
        )
        verdict = check(bed.outcome(), faults)
        verdict.problems.extend(bed.crashes)
        if lost_replies:
            dead = metric_sum(await scrape_all(bed), "evmon_dead_letters_total")
            verdict.problems.extend(
                metric_differences(
                    {"dead letters": dead}, {"dead letters": verdict.dead}
                )
            )
        return verdict


async def _kill(bed: Testbed) -> None:
    """Kill three consumers with SIGKILL at random moments, and stop one with SIGTERM."""
    for number in range(4):
        await asyncio.sleep(bed.rng.uniform(0.2, 0.4))
        consumer = bed.consumers[0]
        if number == 3:
            await bed.terminate(consumer)
            new = bed.start_consumer(consumer.env, **consumer.options)
        else:
            new = bed.restart(consumer)
        await bed.wait_until_ready(new)


async def _drop_replies(bed: Testbed) -> None:
    """Drop a tenth of all replies for 2.5 s."""
    bed.proxy.faults.drop_replies = 0.1
    await asyncio.sleep(2.5)
    bed.proxy.faults.drop_replies = 0


def _result(name: str, verdict: Verdict, took: float) -> Result:
    if not name:
        return Result(
            "T14 unmodified evmon", dict(verdict.figures), verdict.problems, took
        )
    found = verdict.problems
    figures = {**verdict.figures, "detected by": "; ".join(found)}
    return Result(f"T14 {name}", figures, [] if found else ["not detected"], took)
