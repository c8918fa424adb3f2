"""T7: a replica becomes the primary, and has not heard of everything."""

import asyncio
import random
import time

from chaos.checker import Load, check
from chaos.proxy import Proxy
from chaos.result import Options, Result
from chaos.servers import Server
from chaos.world import World, world

RATE = 2000.0
BEHIND = 0.5
"""Seconds for which the replica hears nothing before it is promoted."""
CONSUMERS = 2
ENDLESS = 10**9


async def run(options: Options) -> list[Result]:
    """With and without waiting for the replica when events are published."""
    return [
        await _run(options.seed, min_replicas=1),
        await _run(options.seed + 1, min_replicas=0),
    ]


async def _run(seed: int, *, min_replicas: int) -> Result:
    started = time.monotonic()
    async with world(seed) as w:
        folder = w.folder / "replica"
        folder.mkdir()
        replica = Server(folder)
        between = Proxy(w.server.port, random.Random(seed))
        await replica.start()
        await between.start()
        try:
            figures, problems = await _fail_over(w, replica, between, min_replicas)
        finally:
            await between.stop()
            replica.stop(9)
    name = f"T7 failover, min_replicas={min_replicas}"
    return Result(name, figures, problems, time.monotonic() - started)


async def _fail_over(
    w: World, replica: Server, between: Proxy, min_replicas: int
) -> tuple[dict[str, int], list[str]]:
    replica.ask("REPLICAOF", "127.0.0.1", between.port)
    await _linked(replica)
    for _ in range(CONSUMERS):
        w.consumer()
    await w.ready()
    publisher = w.publisher(ENDLESS, RATE, chunk=50, min_replicas=min_replicas)
    await asyncio.sleep(3)
    between.faults.refuse = True
    between.break_all()
    await asyncio.sleep(BEHIND)
    old, w.server = w.server, replica
    w.proxy.target = replica.port
    w.proxy.break_all()
    replica.ask("REPLICAOF", "NO", "ONE")
    old.stop(9)
    # There is no other replica now to wait for.
    publisher.terminate()
    await w.published()
    w.publisher(1000, RATE)
    await w.published()
    settled = await w.settled()
    truth = w.truth()
    # What was acked while the replica was behind comes again.
    again = round(BEHIND * RATE * 2)
    load = Load(cuts=1, consumers=CONSUMERS, more=again)
    verdict = check(truth, load, may_lose=not min_replicas)
    problems = [*verdict.problems, *w.crashes]
    if not settled:
        problems.append("it did not recover")
    return {**verdict.figures, "refused": len(truth.refused)}, problems


async def _linked(replica: Server) -> None:
    for _ in range(200):
        if replica.ask("INFO", "replication").get("master_link_status") == "up":
            return
        await asyncio.sleep(0.05)
    raise RuntimeError("the replica does not reach its primary")
