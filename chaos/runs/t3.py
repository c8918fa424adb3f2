"""T3: replies get lost: commands are carried out, and nobody hears of it."""

import asyncio
import json
from collections import Counter

from chaos.checker import Load, check, differences
from chaos.result import Options, Result
from chaos.scrapes import scrape_all, total
from chaos.world import STREAM, World, world

EVENTS = 20_000
SHARE = 0.01
RATE = 2000.0


async def run(options: Options) -> list[Result]:
    """Drop a hundredth of all replies, for publishers and consumers alike."""
    events = options.events or EVENTS
    async with world(options.seed) as w:
        for _ in range(3):
            w.consumer()
        await w.ready()
        w.proxy.faults.stall_share = 0.2
        w.proxy.faults.drop_replies = SHARE
        w.publisher(events, RATE, chunk=20)
        await w.published()
        w.proxy.faults.drop_replies = 0
        await w.settled()
        await asyncio.sleep(2.5)
        truth = w.truth()
        verdict = check(truth, Load(cuts=w.proxy.dropped, consumers=1))
        texts = await scrape_all(w)
        dead = total(
            texts, "evmon_dead_letters_total", evmon_dead_letter_reason="rejected"
        )
        doubles = appended_twice(w)
        problems = [*verdict.problems, *w.crashes]
        problems += differences(
            {"dead letters": dead}, {"dead letters": len(truth.dead)}
        )
        if doubles:
            problems.append(f"{doubles} events were appended twice")
    figures = {
        **verdict.figures,
        "replies": w.proxy.replies,
        "dropped": w.proxy.dropped,
        "appended twice": doubles,
        "refused": len(truth.refused),
    }
    return [Result("T3 lost replies", figures, problems)]


def appended_twice(w: World) -> int:
    """Events that stand in the stream more than once."""
    ids: Counter[str] = Counter()
    after = "-"
    while page := w.server.ask("XRANGE", STREAM, after, "+", "COUNT", 1000):
        ids.update(json.loads(fields["event"])["id"] for _, fields in page)
        after = f"({page[-1][0]}"
    return sum(count - 1 for count in ids.values())
