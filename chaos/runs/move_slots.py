"""Moves the slot of a cluster to other nodes, key by key and at once."""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

from chaos.checker import FaultCounts, check
from chaos.cluster import Cluster
from chaos.pauses import measured_pauses
from chaos.result import Options, Result
from chaos.testbed import STREAM, UNLIMITED, Testbed, start_testbed

RATE: Final = 500.0
CONSUMERS: Final = 2
LOADED: Final = 600
"""Entries of the stream before the first fault."""

MOVES: Final = 2
SECONDS_PER_KEY: Final = 0.25
"""Seconds between two keys of a slow move; longer than a lease in total."""

Order = Callable[[Iterable[str]], list[str]]

ORDERS: Final[dict[str, Order]] = {
    "stream first": partial(sorted, key=lambda key: key != STREAM),
    "stream last": partial(sorted, key=lambda key: key == STREAM),
}


async def run(options: Options) -> list[Result]:
    """Move with pauses between the keys, in both orders, and without, for each setting."""
    moves = options.events or MOVES
    results = []
    for min_replicas in (0, 1):
        for name in (*ORDERS, "at once"):
            result = await move(
                options.seed, name, min_replicas=min_replicas, moves=moves
            )
            results.append(result)
    return results


async def move(
    seed: int,
    order: str,
    *,
    min_replicas: int = 0,
    moves: int = MOVES,
    mutant: str = "",
) -> Result:
    """Move the slot some times while events are published, handled and retried.

    Args:
        seed: seed of all randomness.
        order: order in which the keys are moved, or ``at once``.
        min_replicas: setting of the publisher.
        moves: how often the slot is moved.
        mutant: name of the mutant of the consumers; empty for none.
    """
    started = time.monotonic()
    servers: list[Cluster] = []

    def make(folder: Path) -> Cluster:
        servers.append(Cluster(folder, [min_replicas, min_replicas]))
        return servers[0]

    async with start_testbed(seed, make_servers=make) as bed:
        figures, problems = await _move(
            *(bed, servers[0], order),
            min_replicas=min_replicas,
            moves=moves,
            mutant=mutant,
        )
    name = f"T16 slot moved, {order}, min_replicas={min_replicas}"
    return Result(name, figures, problems, time.monotonic() - started)


async def _move(
    bed: Testbed,
    cluster: Cluster,
    order: str,
    *,
    min_replicas: int,
    moves: int,
    mutant: str,
) -> tuple[dict[str, object], list[str]]:
    env = {"EVMON_CHAOS_MUTANT": mutant} if mutant else {}
    for _ in range(CONSUMERS):
        bed.start_consumer(env, retry_share=0.2)
    await bed.wait_until_ready()
    publisher = bed.start_publisher(
        UNLIMITED, RATE, batch_size=20, min_replicas=min_replicas
    )
    await bed.wait_for_entries(LOADED)
    slowly = order in ORDERS
    async with measured_pauses(bed.folder) as pauses:
        for _ in range(moves):
            await cluster.move_slot(
                ORDERS.get(order, sorted),
                partial(asyncio.sleep, SECONDS_PER_KEY if slowly else 0),
            )
            await asyncio.sleep(2)
    publisher.terminate()
    await bed.wait_until_published()
    await bed.wait_until_settled()
    # Leases cannot be renewed while the keys are on two nodes.
    faults = FaultCounts(cuts=moves, consumers=CONSUMERS)
    verdict = check(bed.outcome(), faults)
    return {**verdict.figures, **pauses.figures}, verdict.problems + bed.crashes
