"""Promotes a replica that lags behind its primary."""

import asyncio
import random
import time

from chaos.checker import FaultCounts, check
from chaos.proxy import Proxy
from chaos.redis_server import RedisServer
from chaos.result import Options, Result
from chaos.testbed import UNLIMITED, Testbed, start_testbed

RATE = 2000.0
LAG = 0.5
"""Seconds without replication before the replica is promoted."""
CONSUMERS = 2


async def run(options: Options) -> list[Result]:
    """Publish with ``min_replicas`` 1, then 0."""
    return [
        await _run(options.seed, min_replicas=1),
        await _run(options.seed + 1, min_replicas=0),
    ]


async def _run(seed: int, *, min_replicas: int) -> Result:
    started = time.monotonic()
    async with start_testbed(seed) as bed:
        folder = bed.folder / "replica"
        folder.mkdir()
        replica = RedisServer(folder)
        replication = Proxy(bed.server.port, random.Random(seed))
        await replica.start()
        await replication.start()
        try:
            figures, problems = await _fail_over(
                bed, replica, replication, min_replicas
            )
        finally:
            await replication.stop()
            replica.stop(9)
    name = f"T7 failover, min_replicas={min_replicas}"
    return Result(name, figures, problems, time.monotonic() - started)


async def _fail_over(
    bed: Testbed, replica: RedisServer, replication: Proxy, min_replicas: int
) -> tuple[dict[str, int], list[str]]:
    replica.execute("REPLICAOF", "127.0.0.1", replication.port)
    await _wait_until_replicating(replica)
    for _ in range(CONSUMERS):
        bed.start_consumer()
    await bed.wait_until_ready()
    publisher = bed.start_publisher(
        UNLIMITED, RATE, batch_size=50, min_replicas=min_replicas
    )
    await asyncio.sleep(3)
    replication.faults.refuse = True
    replication.reset_connections()
    await asyncio.sleep(LAG)
    old, bed.server = bed.server, replica
    bed.proxy.target = replica.port
    bed.proxy.reset_connections()
    replica.execute("REPLICAOF", "NO", "ONE")
    old.stop(9)
    # With min_replicas=1 it cannot publish any more: there is no replica left.
    publisher.terminate()
    await bed.wait_until_published()
    bed.start_publisher(1000, RATE)
    await bed.wait_until_published()
    settled = await bed.wait_until_settled()
    outcome = bed.outcome()
    # Acknowledgements that were not replicated are repeated.
    missing_acks = round(LAG * RATE * 2)
    faults = FaultCounts(cuts=1, consumers=CONSUMERS, expected_duplicates=missing_acks)
    verdict = check(outcome, faults, allow_loss=not min_replicas)
    problems = [*verdict.problems, *bed.crashes]
    if not settled:
        problems.append("consumers did not recover")
    return {**verdict.figures, "refused": len(outcome.refused)}, problems


async def _wait_until_replicating(replica: RedisServer) -> None:
    for _ in range(200):
        if replica.execute("INFO", "replication").get("master_link_status") == "up":
            return
        await asyncio.sleep(0.05)
    raise RuntimeError("the replica cannot connect to its primary")
