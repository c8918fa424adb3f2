"""Drops replies of Redis, so clients do not know whether a command was executed."""

import asyncio
import json
import time
from collections import Counter

from chaos.checker import FaultCounts, check, metric_differences
from chaos.metrics import metric_sum, scrape_all
from chaos.result import Options, Result
from chaos.testbed import STREAM, Testbed, start_testbed

EVENTS = 20_000
DROPPED_SHARE = 0.01
RATE = 2000.0
SILENCE = 3.0
"""Seconds without any reply; longer than the timeout of the processes."""


async def run(options: Options) -> list[Result]:
    """Drop 1 % of all replies; then, in a second testbed, forward nothing at times."""
    events = options.events or EVENTS
    return [
        await _dropped(options.seed, events),
        await _silent(options.seed + 1, events // 2),
    ]


async def _silent(seed: int, events: int) -> Result:
    """Delay replies, and twice forward nothing."""
    started = time.monotonic()
    async with start_testbed(seed) as bed:
        for _ in range(3):
            bed.start_consumer()
        await bed.wait_until_ready()
        bed.proxy.faults.delay = 0.01
        bed.start_publisher(events, RATE, batch_size=20)
        for _ in range(2):
            await asyncio.sleep(0.7)
            await bed.proxy.go_silent(SILENCE)
        bed.proxy.faults.delay = 0
        await bed.wait_until_published()
        await bed.wait_until_settled()
        outcome = bed.outcome()
        verdict = check(outcome, FaultCounts(cuts=bed.proxy.cuts))
        repeated = appended_twice(bed)
        problems = [*verdict.problems, *bed.crashes]
        if repeated:
            problems.append(f"{repeated} events were appended twice")
    figures = {
        **verdict.figures,
        "silent s": 2 * SILENCE,
        "appended twice": repeated,
        "refused": len(outcome.refused),
    }
    return Result("T3 silent network", figures, problems, time.monotonic() - started)


async def _dropped(seed: int, events: int) -> Result:
    """Drop replies to publishers and consumers."""
    started = time.monotonic()
    async with start_testbed(seed) as bed:
        for _ in range(3):
            bed.start_consumer()
        await bed.wait_until_ready()
        bed.proxy.faults.stall_share = 0.2
        bed.proxy.faults.drop_replies = DROPPED_SHARE
        bed.start_publisher(events, RATE, batch_size=20)
        await bed.wait_until_published()
        bed.proxy.faults.drop_replies = 0
        await bed.wait_until_settled()
        # After a dropped reply a dead letter is counted on retry, after the 2 s timeout.
        await asyncio.sleep(2.5)
        outcome = bed.outcome()
        verdict = check(outcome, FaultCounts(cuts=bed.proxy.dropped, consumers=1))
        texts = await scrape_all(bed)
        dead = metric_sum(
            texts, "evmon_dead_letters_total", evmon_dead_letter_reason="rejected"
        )
        repeated = appended_twice(bed)
        problems = [*verdict.problems, *bed.crashes]
        problems += metric_differences(
            {"dead letters": dead}, {"dead letters": len(outcome.dead)}
        )
        if repeated:
            problems.append(f"{repeated} events were appended twice")
    figures = {
        **verdict.figures,
        "replies": bed.proxy.replies,
        "dropped": bed.proxy.dropped,
        "appended twice": repeated,
        "refused": len(outcome.refused),
    }
    return Result("T3 lost replies", figures, problems, time.monotonic() - started)


def appended_twice(bed: Testbed) -> int:
    """Entries of the stream that repeat the event of an earlier entry."""
    ids: Counter[str] = Counter()
    after = "-"
    while page := bed.server.execute("XRANGE", STREAM, after, "+", "COUNT", 1000):
        ids.update(json.loads(fields["event"])["id"] for _, fields in page)
        after = f"({page[-1][0]}"
    return sum(count - 1 for count in ids.values())
