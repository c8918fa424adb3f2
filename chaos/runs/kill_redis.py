"""T6: Redis dies, and takes with it what its ``appendfsync`` lets it.

A process that is killed keeps what it has written to the kernel, which with ``everysec``
it puts off while a sync is slow; a machine that loses power keeps what was synced. The
second is played by cutting the tail off the append-only file.
"""

import asyncio
import time
from pathlib import Path

from chaos import files
from chaos.checker import Load, check
from chaos.result import Options, Result
from chaos.world import World, world

KILLS = 20
RATE = 3000.0
CHUNK = 50
CONSUMERS = 2
IN_FLIGHT = 100
ENDLESS = 10**9
TAIL = 1.0
"""Seconds of writes that a power loss takes with ``appendfsync everysec``."""
PUT_OFF = 2.0
"""Seconds for which a write is put off at the most, by Redis' documentation."""


async def run(options: Options) -> list[Result]:
    """Kill Redis with either setting; then lose the power."""
    kills = options.events or KILLS
    return [
        await _killed(options.seed, "always", kills),
        await _killed(options.seed + 1, "everysec", kills),
        await _power_lost(options.seed + 2),
    ]


async def _killed(seed: int, fsync: str, kills: int) -> Result:
    started = time.monotonic()
    async with world(seed, fsync) as w:
        await _load(w)
        publisher = w.publisher(ENDLESS, RATE, chunk=CHUNK)
        for _ in range(kills):
            await asyncio.sleep(w.rng.uniform(0.3, 1.0))
            await w.server.kill()
        publisher.terminate()
        await w.published()
        settled = await w.settled()
        strict = fsync == "always"
        again = 0 if strict else round(kills * PUT_OFF * RATE)
        load = Load(restarts=w.server.restarts, consumers=CONSUMERS, more=again)
        verdict = check(w.truth(), load, may_lose=not strict)
    figures = {"redis kills": kills, **verdict.figures}
    problems = [*verdict.problems, *w.crashes]
    if not settled:
        problems.append("it did not recover")
    return Result(f"T6 kill -9, {fsync}", figures, problems, time.monotonic() - started)


async def _power_lost(seed: int) -> Result:
    started = time.monotonic()
    async with world(seed, "everysec") as w:
        await _load(w)
        publisher = w.publisher(ENDLESS, RATE, chunk=CHUNK)
        await asyncio.sleep(3)
        size = _size(w.folder)
        before = len(files.published(w.folder))
        runs = len(files.handled(w.folder))
        await asyncio.sleep(TAIL)
        w.server.stop(9)
        acked = len(files.published(w.folder)) - before
        rerun = len(files.handled(w.folder)) - runs
        gone = _truncate(w.folder, size)
        await w.server.start()
        await asyncio.sleep(1)
        publisher.terminate()
        await w.published()
        settled = await w.settled()
        truth = w.truth()
        load = Load(restarts=1, consumers=CONSUMERS, more=rerun)
        verdict = check(truth, load, may_lose=True)
    problems = [*verdict.problems, *w.crashes]
    if not settled:
        problems.append("it did not recover")
    if verdict.lost > acked + CHUNK:
        problems.append(
            f"{verdict.lost} lost, {acked} were accepted in the last second"
        )
    figures = {
        **verdict.figures,
        "bytes cut off": gone,
        "accepted in that second": acked,
    }
    return Result("T6 power loss", figures, problems, time.monotonic() - started)


async def _load(w: World) -> None:
    for _ in range(CONSUMERS):
        w.consumer(in_flight=IN_FLIGHT)
    await w.ready()


def _file(folder: Path) -> Path:
    return max((folder / "appendonlydir").glob("*.incr.aof"))


def _size(folder: Path) -> int:
    return _file(folder).stat().st_size


def _truncate(folder: Path, size: int) -> int:
    gone = _size(folder) - size
    with _file(folder).open("r+b") as file:
        file.truncate(size)
    return gone
