"""Stops consumers with SIGTERM at random moments under load."""

import asyncio
from collections.abc import Iterator

from chaos.checker import FaultCounts, check
from chaos.result import Options, Result
from chaos.testbed import UNLIMITED, Testbed, start_testbed

STOPS = 100
CONSUMERS = 4
DRAIN_TIMEOUT = 2.0
MAX_EXTRA = 1.0
"""Seconds that a stop may take beyond the drain timeout."""


async def run(options: Options) -> list[Result]:
    """Stop consumers one after another; ``--events`` is the number of stops."""
    stops = options.events or STOPS
    exits: list[tuple[int, float]] = []
    async with start_testbed(options.seed) as bed:
        publisher = bed.start_publisher(UNLIMITED, 500, batch_size=20)
        numbers = iter(range(stops))
        loops = (_start_and_stop(bed, numbers, exits) for _ in range(CONSUMERS))
        await asyncio.gather(*loops)
        publisher.terminate()
        await bed.wait_until_published()
        for _ in range(2):
            bed.start_consumer()
        await bed.wait_until_settled()
        verdict = check(bed.outcome(), FaultCounts())
        problems = [*verdict.problems, *bed.crashes]
    limit = DRAIN_TIMEOUT + MAX_EXTRA + options.slack
    late = [took for _, took in exits if took > limit]
    failed = [code for code, _ in exits if code]
    if late:
        problems.append(f"{len(late)} stops took longer than {limit} s")
    if failed:
        problems.append(f"{len(failed)} exit codes were {sorted(set(failed))}")
    times = sorted(took for _, took in exits)
    figures = {
        **verdict.figures,
        "stops": len(exits),
        "exit 0": len(exits) - len(failed),
        "median s": round(times[len(times) // 2], 2),
        "longest s": round(times[-1], 2),
    }
    return [Result("T8 SIGTERM", figures, problems)]


async def _start_and_stop(
    bed: Testbed, numbers: Iterator[int], exits: list[tuple[int, float]]
) -> None:
    """Start and stop one consumer for each number; notes exit codes and durations."""
    for _ in numbers:
        consumer = bed.start_consumer(
            drain_timeout=DRAIN_TIMEOUT,
            handler_seconds=0.02,
            slow_share=0.005,
            slow_seconds=15 * DRAIN_TIMEOUT,
        )
        await bed.wait_until_ready(consumer)
        await asyncio.sleep(bed.rng.uniform(0.0, 0.8))
        exits.append(await bed.terminate(consumer))
