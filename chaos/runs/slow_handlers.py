"""T4: handlers that take five leases, and some that block the event loop for two."""

from chaos import files
from chaos.checker import Load, check, parallel_runs
from chaos.result import Options, Result
from chaos.world import world

EVENTS = 2000
LEASE = 1.0
SLOW = 0.05
BLOCKING = 0.01
IN_FLIGHT = 50


async def run(options: Options) -> list[Result]:
    """First those that wait, whose leases are renewed; then those that block, too."""
    events = options.events or EVENTS
    return [
        await _run(options.seed, events, 0.0),
        await _run(options.seed + 1, events // 4, BLOCKING),
    ]


async def _run(seed: int, events: int, blocking: float) -> Result:
    async with world(seed) as w:
        for _ in range(3):
            w.consumer(
                lease=LEASE,
                in_flight=IN_FLIGHT,
                slow=SLOW,
                slow_seconds=5 * LEASE,
                blocking=blocking,
            )
        await w.ready()
        w.publisher(events)
        await w.published()
        await w.settled(120)
        truth = w.truth()
        blocked = sum(SLOW <= files.chance(i) < SLOW + blocking for i in truth.handled)
        verdict = check(truth, Load(more=blocked * IN_FLIGHT))
        handlings = files.handlings(w.folder)
        parallel = parallel_runs(handlings)
        problems = [*verdict.problems, *w.crashes]
        if parallel and not blocking:
            problems.append(f"{parallel} runs of a handler beside another one")
        figures = {
            **verdict.figures,
            "slow runs": sum(h.end - h.start >= 5 * LEASE for h in handlings),
            "blocking runs": blocked,
            "parallel runs": parallel,
        }
    return Result("T4 blockers" if blocking else "T4 slow handlers", figures, problems)
