"""Kills, or freezes, the node of a cluster that has the slot."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Final

from chaos.checker import FaultCounts, check
from chaos.cluster import Cluster
from chaos.pauses import measured_pauses
from chaos.redis_server import RedisServer
from chaos.result import Options, Result
from chaos.testbed import UNLIMITED, Testbed, start_testbed

RATE: Final = 300.0
CONCURRENCY: Final = 10
"""Too low for the rate, so that some events are unread when the node fails."""

CONSUMERS: Final = 2
LOADED: Final = 600
"""Entries of the stream before the first fault."""

REPLICAS_FROZEN: Final = 0.6
"""Seconds without replication before the node fails; shorter than a failure."""

FAILS_FOR: Final = 6.0
"""Seconds until the node is back: a replica of it has long been promoted."""


async def run(options: Options) -> list[Result]:
    """Kill, and freeze, for each setting."""
    return [
        await fail_over(options.seed, fault, min_replicas=min_replicas)
        for min_replicas in (0, 1)
        for fault in ("killed", "frozen")
    ]


async def fail_over(
    seed: int, fault: str, *, min_replicas: int, mutant: str = ""
) -> Result:
    """Let the replicas fall behind, and the node fail and return.

    Args:
        seed: seed of all randomness.
        fault: ``killed`` or ``frozen``.
        min_replicas: setting of the publisher.
        mutant: name of the mutant of the publisher; empty for none.
    """
    started = time.monotonic()
    servers: list[Cluster] = []

    def make(folder: Path) -> Cluster:
        servers.append(Cluster(folder, [2, 1, 0]))
        return servers[0]

    async with start_testbed(seed, make_servers=make) as bed:
        for _ in range(CONSUMERS):
            bed.start_consumer(
                retry_share=0.1, handler_seconds=0.1, max_concurrency=CONCURRENCY
            )
        await bed.wait_until_ready()
        publisher = bed.start_publisher(
            *(UNLIMITED, RATE), batch_size=20, min_replicas=min_replicas, mutant=mutant
        )
        await bed.wait_for_entries(LOADED)
        async with measured_pauses(bed.folder) as pauses:
            await _fail(servers[0], fault)
            await asyncio.sleep(4)
        publisher.terminate()
        figures, problems = await _verdict(bed, allow_loss=min_replicas == 0)
    figures |= pauses.figures
    name = f"T15 node {fault}, min_replicas={min_replicas}"
    return Result(name, figures, problems, time.monotonic() - started)


async def _fail(cluster: Cluster, fault: str) -> None:
    owner = cluster.owner()
    replicas = cluster.replicas_of(owner)
    for replica in replicas:
        replica.freeze()
    # What is sent over these connections would still arrive.
    owner.execute("CLIENT", "KILL", "TYPE", "replica")
    await asyncio.sleep(REPLICAS_FROZEN)
    if fault == "killed":
        owner.stop(signal.SIGKILL)
    else:
        owner.freeze()
    for replica in replicas:
        replica.unfreeze()
    await asyncio.sleep(FAILS_FOR)
    await _return(owner, fault)


async def _return(node: RedisServer, fault: str) -> None:
    if fault == "killed":
        await node.start()
    else:
        node.unfreeze()


async def _verdict(
    bed: Testbed, *, allow_loss: bool
) -> tuple[dict[str, object], list[str]]:
    await bed.wait_until_published()
    settled = await bed.wait_until_settled()
    # Acknowledgements that the promoted replica lacks are repeated: those of the time
    # without replication, and those in flight.
    behind = int(RATE * REPLICAS_FROZEN * 2)
    faults = FaultCounts(cuts=2, consumers=CONSUMERS, expected_duplicates=behind)
    verdict = check(bed.outcome(), faults, allow_loss=allow_loss)
    problems = verdict.problems + bed.crashes
    if not settled:
        problems.append(f"not settled: {bed.unfinished()}")
    return dict(verdict.figures), problems
