"""T11: a hundred thousand event types that nobody handles."""

import json
from pathlib import Path
from typing import Any

from chaos.result import Options, Result
from chaos.scrapes import parse
from chaos.world import DEAD, STREAM, World, world

TYPES = 100_000
WARM_UP = 10_000
BATCH = 1000
MAX_GROWTH = 5.0


async def run(options: Options) -> list[Result]:
    """Write unknown types, and look at series and memory before and after."""
    count = options.events or TYPES
    async with world(options.seed) as w:
        worker = w.consumer()
        await w.ready()
        await _write(w, 0, WARM_UP)
        before, rss_before = await w.scrape(worker), _rss(worker.process.pid)
        await _write(w, WARM_UP, count)
        after, rss_after = await w.scrape(worker), _rss(worker.process.pid)
        dead = int(w.server.ask("XLEN", DEAD))
        problems = [*w.crashes]
    grown = parse(after).keys() - parse(before).keys()
    growth = (rss_after - rss_before) / 1024
    if grown:
        problems.append(f"{len(grown)} series more: {sorted(n for n, _ in grown)[:3]}")
    if growth >= MAX_GROWTH:
        problems.append(f"RSS grew by {growth:.1f} MiB")
    if dead != count + WARM_UP:
        problems.append(f"{dead} dead letters, {count + WARM_UP} expected")
    figures: dict[str, Any] = {
        "types": count,
        "dead letters": dead,
        "series": len(parse(after)),
        "series more": len(grown),
        "RSS MiB": round(rss_after / 1024, 1),
        "RSS growth MiB": round(growth, 2),
    }
    return [Result("T11 unknown types", figures, problems)]


async def _write(w: World, first: int, count: int) -> None:
    for start in range(first, first + count, BATCH):
        end = min(start + BATCH, first + count)
        w.server.append(STREAM, [_entry(n) for n in range(start, end)])
    await w.settled(240)


def _entry(number: int) -> dict[str, str]:
    event = {
        "specversion": "1.0",
        "id": f"u{number}",
        "source": "chaos",
        "type": f"unknown.type{number}",
        "time": "2025-01-01T00:00:00Z",
        "data": None,
    }
    return {"event": json.dumps(event)}


def _rss(pid: int) -> float:
    """Resident memory in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1])
    raise RuntimeError("no VmRSS: this run needs Linux")
