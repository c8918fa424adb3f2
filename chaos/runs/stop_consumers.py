"""T8: consumers are told to stop at any moment, under load."""

import asyncio
from collections.abc import Iterator

from chaos.checker import Load, check
from chaos.result import Options, Result
from chaos.world import World, world

STOPS = 100
AT_ONCE = 4
DEADLINE = 2.0
GRACE = 1.0
ENDLESS = 10**9


async def run(options: Options) -> list[Result]:
    """SIGTERM, again and again; `--events` is how often."""
    stops = options.events or STOPS
    ends: list[tuple[int, float]] = []
    async with world(options.seed) as w:
        publisher = w.publisher(ENDLESS, 500, chunk=20)
        left = iter(range(stops))
        await asyncio.gather(*(_stop(w, left, ends) for _ in range(AT_ONCE)))
        publisher.terminate()
        await w.published()
        for _ in range(2):
            w.consumer()
        await w.settled()
        verdict = check(w.truth(), Load())
        problems = [*verdict.problems, *w.crashes]
    limit = DEADLINE + GRACE + options.slack
    late = [took for _, took in ends if took > limit]
    bad = [code for code, _ in ends if code]
    if late:
        problems.append(f"{len(late)} took longer than {limit} s")
    if bad:
        problems.append(f"{len(bad)} ended with {sorted(set(bad))}")
    times = sorted(took for _, took in ends)
    figures = {
        **verdict.figures,
        "stops": len(ends),
        "exit 0": len(ends) - len(bad),
        "median s": round(times[len(times) // 2], 2),
        "longest s": round(times[-1], 2),
    }
    return [Result("T8 SIGTERM", figures, problems)]


async def _stop(w: World, left: Iterator[int], ends: list[tuple[int, float]]) -> None:
    """Start consumers and stop them, one after another."""
    for _ in left:
        worker = w.consumer(
            drain=DEADLINE, seconds=0.02, slow=0.005, slow_seconds=15 * DEADLINE
        )
        await w.ready(worker)
        await asyncio.sleep(w.rng.uniform(0.0, 0.8))
        ends.append(await w.end(worker))
