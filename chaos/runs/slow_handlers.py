"""Runs handlers longer than a lease, some of which block the event loop."""

from chaos import journal
from chaos.checker import FaultCounts, check, parallel_runs
from chaos.result import Options, Result
from chaos.testbed import start_testbed

EVENTS = 2000
LEASE = 1.0
SLOW_SHARE = 0.05
BLOCKING_SHARE = 0.01
IN_FLIGHT = 50


async def run(options: Options) -> list[Result]:
    """Handlers that await for five leases; then also some that block for two."""
    events = options.events or EVENTS
    return [
        await _run(options.seed, events, 0.0),
        await _run(options.seed + 1, events // 4, BLOCKING_SHARE),
    ]


async def _run(seed: int, events: int, blocking: float) -> Result:
    async with start_testbed(seed) as bed:
        for _ in range(3):
            bed.start_consumer(
                lease=LEASE,
                max_concurrency=IN_FLIGHT,
                slow_share=SLOW_SHARE,
                slow_seconds=5 * LEASE,
                blocking_share=blocking,
            )
        await bed.wait_until_ready()
        bed.start_publisher(events)
        await bed.wait_until_published()
        await bed.wait_until_settled(120)
        outcome = bed.outcome()
        fractions = [journal.id_fraction(i) for i in outcome.handled]
        blocked = sum(SLOW_SHARE <= f < SLOW_SHARE + blocking for f in fractions)
        verdict = check(outcome, FaultCounts(expected_duplicates=blocked * IN_FLIGHT))
        handler_runs = journal.handler_runs(bed.folder)
        parallel = parallel_runs(handler_runs)
        problems = [*verdict.problems, *bed.crashes]
        if parallel and not blocking:
            problems.append(f"{parallel} parallel runs for one event")
        figures = {
            **verdict.figures,
            "slow runs": sum(h.end - h.start >= 5 * LEASE for h in handler_runs),
            "blocking runs": blocked,
            "parallel runs": parallel,
        }
    return Result(
        "T4 blocking handlers" if blocking else "T4 slow handlers", figures, problems
    )
