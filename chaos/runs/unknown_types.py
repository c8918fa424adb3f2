"""Appends events of many types without a handler; series and memory must not grow."""

import json
from pathlib import Path
from typing import Any

from chaos.metrics import parse_samples
from chaos.result import Options, Result
from chaos.testbed import DEAD, STREAM, Testbed, start_testbed

TYPES = 100_000
WARM_UP = 10_000
BATCH = 1000
MAX_GROWTH = 5.0
"""Growth of resident memory in MiB."""


async def run(options: Options) -> list[Result]:
    """Compare metrics and memory before and after; ``--events`` is the number of types."""
    count = options.events or TYPES
    async with start_testbed(options.seed) as bed:
        consumer = bed.start_consumer()
        await bed.wait_until_ready()
        await _append(bed, 0, WARM_UP)
        before, rss_before = await bed.scrape(consumer), _rss(consumer.process.pid)
        await _append(bed, WARM_UP, count)
        after, rss_after = await bed.scrape(consumer), _rss(consumer.process.pid)
        dead = int(bed.server.execute("XLEN", DEAD))
        problems = [*bed.crashes]
    new_series = parse_samples(after).keys() - parse_samples(before).keys()
    growth = (rss_after - rss_before) / 1024
    if new_series:
        names = sorted(name for name, _ in new_series)
        problems.append(f"{len(new_series)} new series: {names[:3]}")
    if growth >= MAX_GROWTH:
        problems.append(f"RSS grew by {growth:.1f} MiB")
    if dead != count + WARM_UP:
        problems.append(f"{dead} dead letters, {count + WARM_UP} expected")
    figures: dict[str, Any] = {
        "types": count,
        "dead letters": dead,
        "series": len(parse_samples(after)),
        "new series": len(new_series),
        "RSS MiB": round(rss_after / 1024, 1),
        "RSS growth MiB": round(growth, 2),
    }
    return [Result("T11 unknown types", figures, problems)]


async def _append(bed: Testbed, first: int, count: int) -> None:
    for start in range(first, first + count, BATCH):
        end = min(start + BATCH, first + count)
        bed.server.append(STREAM, [_entry(n) for n in range(start, end)])
    await bed.wait_until_settled(240)


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
    """Resident memory of a process in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1])
    raise RuntimeError("no VmRSS: this run needs Linux")
