"""Kills Redis with each ``appendfsync``, and simulates a power loss of its machine.

A killed process loses only what it has not yet written: with ``everysec``, Redis delays
writes while a sync is slow. A power loss also loses what was not synced; it is simulated
by truncating the append-only file.
"""

import asyncio
import time
from pathlib import Path

from chaos import journal
from chaos.checker import FaultCounts, check
from chaos.result import Options, Result
from chaos.testbed import UNLIMITED, Testbed, start_testbed

KILLS = 20
RATE = 3000.0
BATCH_SIZE = 50
CONSUMERS = 2
IN_FLIGHT = 100

UNSYNCED = 1.0
"""Seconds of writes that a power loss deletes with ``appendfsync everysec``."""
MAX_WRITE_DELAY = 2.0
"""Seconds by which Redis delays a write at most, by its documentation."""


async def run(options: Options) -> list[Result]:
    """Kill Redis with ``always`` and ``everysec``; then simulate a power loss."""
    kills = options.events or KILLS
    return [
        await _killed(options.seed, "always", kills),
        await _killed(options.seed + 1, "everysec", kills),
        await _power_lost(options.seed + 2),
    ]


async def _killed(seed: int, fsync: str, kills: int) -> Result:
    started = time.monotonic()
    async with start_testbed(seed, fsync) as bed:
        await _start_consumers(bed)
        publisher = bed.start_publisher(UNLIMITED, RATE, batch_size=BATCH_SIZE)
        for _ in range(kills):
            await asyncio.sleep(bed.rng.uniform(0.3, 1.0))
            await bed.server.kill()
        publisher.terminate()
        await bed.wait_until_published()
        settled = await bed.wait_until_settled()
        strict = fsync == "always"
        forgotten_acks = 0 if strict else round(kills * MAX_WRITE_DELAY * RATE)
        faults = FaultCounts(
            restarts=bed.server.restarts,
            consumers=CONSUMERS,
            expected_duplicates=forgotten_acks,
        )
        verdict = check(bed.outcome(), faults, allow_loss=not strict)
    figures = {"redis kills": kills, **verdict.figures}
    problems = [*verdict.problems, *bed.crashes]
    if not settled:
        problems.append("consumers did not recover")
    return Result(f"T6 kill -9, {fsync}", figures, problems, time.monotonic() - started)


async def _power_lost(seed: int) -> Result:
    started = time.monotonic()
    async with start_testbed(seed, "everysec") as bed:
        await _start_consumers(bed)
        publisher = bed.start_publisher(UNLIMITED, RATE, batch_size=BATCH_SIZE)
        await asyncio.sleep(3)
        size = _size(bed.folder)
        published = len(journal.published_ids(bed.folder))
        handled = len(journal.handled_ids(bed.folder))
        await asyncio.sleep(UNSYNCED)
        bed.server.stop(9)
        accepted = len(journal.published_ids(bed.folder)) - published
        forgotten_acks = len(journal.handled_ids(bed.folder)) - handled
        truncated = _truncate(bed.folder, size)
        await bed.server.start()
        await asyncio.sleep(1)
        publisher.terminate()
        await bed.wait_until_published()
        settled = await bed.wait_until_settled()
        outcome = bed.outcome()
        faults = FaultCounts(
            restarts=1, consumers=CONSUMERS, expected_duplicates=forgotten_acks
        )
        verdict = check(outcome, faults, allow_loss=True)
    problems = [*verdict.problems, *bed.crashes]
    if not settled:
        problems.append("consumers did not recover")
    if verdict.lost > accepted + BATCH_SIZE:
        problems.append(f"{verdict.lost} lost, {accepted} accepted in the last second")
    figures = {
        **verdict.figures,
        "bytes truncated": truncated,
        "accepted in the last second": accepted,
    }
    return Result("T6 power loss", figures, problems, time.monotonic() - started)


async def _start_consumers(bed: Testbed) -> None:
    for _ in range(CONSUMERS):
        bed.start_consumer(max_concurrency=IN_FLIGHT)
    await bed.wait_until_ready()


def _append_only_file(folder: Path) -> Path:
    return max((folder / "appendonlydir").glob("*.incr.aof"))


def _size(folder: Path) -> int:
    return _append_only_file(folder).stat().st_size


def _truncate(folder: Path, size: int) -> int:
    truncated = _size(folder) - size
    with _append_only_file(folder).open("r+b") as file:
        file.truncate(size)
    return truncated
