"""Publishes and handles large events over a link of 200 kB/s."""

import time

from chaos.checker import FaultCounts, check
from chaos.result import Options, Result
from chaos.testbed import start_testbed

EVENTS = 600
RATE = 200_000
"""Bytes per second that all connections share, each way."""
PADDING = 20_000
IN_FLIGHT = 100
LEASE = 10.0


async def run(options: Options) -> list[Result]:
    """600 events of 20 kB, which take a minute each way."""
    return [await carry(options.seed, options.events or EVENTS)]


async def carry(seed: int, events: int, mutant: str = "") -> Result:
    """Publish events over the slow link, then handle them over it.

    Args:
        seed: seed of all randomness.
        events: number of events.
        mutant: name of the mutant for all processes; empty for none.
    """
    within = 60 + 3 * events * PADDING / RATE
    async with start_testbed(seed) as bed:
        bed.proxy.faults.rate = RATE
        started = time.monotonic()
        bed.start_publisher(events, padding=PADDING, mutant=mutant)
        try:
            await bed.wait_until_published(within)
        except TimeoutError as error:
            return Result("T21 slow link", {}, [f"publishing: {error}"])
        published = time.monotonic()
        env = {"EVMON_CHAOS_MUTANT": mutant} if mutant else {}
        bed.start_consumer(env, lease=LEASE, max_concurrency=IN_FLIGHT)
        await bed.wait_until_settled(within)
        outcome = bed.outcome()
        verdict = check(outcome, FaultCounts())
        figures = {
            **verdict.figures,
            "refused": len(outcome.refused),
            "s to publish": round(published - started, 1),
            "s to handle": round(time.monotonic() - published, 1),
        }
        problems = [*verdict.problems, *bed.crashes]
        if outcome.refused:
            problems.append(f"{len(outcome.refused)} refused")
    return Result("T21 slow link", figures, problems)
