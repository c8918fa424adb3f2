"""Freezes a primary that sentinels watch, and lets it return before it is demoted."""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

from chaos.checker import FaultCounts, check
from chaos.pauses import measured_pauses
from chaos.result import Options, Result
from chaos.sentinels import WatchedPrimary
from chaos.testbed import UNLIMITED, start_testbed

RATE: Final = 500.0
CONSUMERS: Final = 2
LOADED: Final = 600
"""Entries of the stream before the first fault."""

FROZEN: Final = 5.0
"""Seconds; the sentinels promote a replica after two."""

STALE: Final = 6.0
"""Seconds for which load goes on while the old primary still takes itself for one."""


async def run(options: Options) -> list[Result]:
    """Freeze the primary, for each setting."""
    return [
        await freeze(options.seed, min_replicas=min_replicas) for min_replicas in (0, 1)
    ]


async def freeze(seed: int, *, min_replicas: int, mutant: str = "") -> Result:
    """Freeze the primary until a replica is promoted, and longer.

    Args:
        seed: seed of all randomness.
        min_replicas: setting of the publishers.
        mutant: name of the mutant of all processes; empty for none.
    """
    started = time.monotonic()
    servers: list[WatchedPrimary] = []

    def make(folder: Path) -> WatchedPrimary:
        servers.append(WatchedPrimary(folder))
        return servers[0]

    async with start_testbed(seed, make_servers=make) as bed:
        env = {"EVMON_CHAOS_MUTANT": mutant} if mutant else {}
        for _ in range(CONSUMERS):
            bed.start_consumer(env, retry_share=0.1)
        await bed.wait_until_ready()
        options: dict[str, Any] = {"min_replicas": min_replicas, "mutant": mutant}
        publishers = [
            bed.start_publisher(UNLIMITED, RATE, batch_size=20, **options),
            # Its connection is idle while the primary is frozen.
            bed.start_publisher(UNLIMITED, batch_size=20, pause=FROZEN + 2, **options),
        ]
        await bed.wait_for_entries(LOADED)
        async with measured_pauses(bed.folder) as pauses:
            primary = servers[0].primary()
            primary.freeze()
            await asyncio.sleep(FROZEN)
            primary.unfreeze()
            await asyncio.sleep(STALE)
        for publisher in publishers:
            publisher.terminate()
        await bed.wait_until_published()
        settled = await bed.wait_until_settled()
        # Replication is asynchronous: a few acknowledgements may be missing.
        faults = FaultCounts(cuts=2, consumers=CONSUMERS)
        verdict = check(bed.outcome(), faults)
        problems = verdict.problems + bed.crashes
        if not settled:
            problems.append(f"not settled: {bed.unfinished()}")
    name = f"T17 primary frozen and back, min_replicas={min_replicas}"
    figures = {**verdict.figures, **pauses.figures}
    return Result(name, figures, problems, time.monotonic() - started)
