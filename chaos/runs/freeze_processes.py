"""Freezes consumers, the publisher and Redis with SIGSTOP for longer than a lease."""

import asyncio
import json
import signal
import subprocess
from collections import Counter
from dataclasses import replace

from chaos.checker import FaultCounts, Outcome, check
from chaos.journal import id_fraction, is_fickle
from chaos.result import Options, Result
from chaos.testbed import STREAM, UNLIMITED, Testbed, start_testbed

FREEZES = 20
LEASE = 1.0
IN_FLIGHT = 50
RATE = 100.0
RETRY_SHARE = 0.1
FICKLE_SHARE = 0.3
POISON_SHARE = 0.2
SLOW_SHARE = 0.3
SLOW_SECONDS = 3.0
"""Long enough that a reclaimed event is still handled when its first consumer goes on."""

_TAKEN_FOR_AN_ORPHAN = "was removed from the group's pending entries"


async def run(options: Options) -> list[Result]:
    """Freeze one process after the other, for two to four leases each."""
    return [await freeze_all(options.seed, options.events or FREEZES)]


async def freeze_all(seed: int, freezes: int, mutant: str = "") -> Result:
    """Freeze processes under load, and check the guarantees.

    Args:
        seed: seed of all randomness.
        freezes: how often a consumer is frozen; the publisher and Redis are each frozen
            a tenth as often, once at least.
        mutant: name of the mutant for the consumers; empty for none.
    """
    others = max(freezes // 10, 1)
    async with start_testbed(seed) as bed:
        for _ in range(3):
            bed.start_consumer(
                {"EVMON_CHAOS_MUTANT": mutant} if mutant else {},
                lease=LEASE,
                max_concurrency=IN_FLIGHT,
                slow_share=SLOW_SHARE,
                slow_seconds=SLOW_SECONDS,
                retry_share=RETRY_SHARE,
                fickle_share=FICKLE_SHARE,
                failing_share=0.5,
            )
        await bed.wait_until_ready()
        publisher = bed.start_publisher(
            UNLIMITED, RATE, poison_share=POISON_SHARE, batch_size=20
        )
        await bed.wait_for_entries(200)
        for _ in range(freezes):
            await _freeze(bed.rng.choice(bed.consumers).process, _seconds(bed))
            await asyncio.sleep(LEASE)
        for _ in range(others):
            await _freeze(publisher, _seconds(bed))
            bed.server.freeze()
            await asyncio.sleep(_seconds(bed))
            bed.server.unfreeze()
            await asyncio.sleep(2 * LEASE)
        publisher.terminate()
        await bed.wait_until_published()
        await bed.wait_until_settled()
        faults = FaultCounts(freezes, others, max_concurrency=IN_FLIGHT)
        verdict = check(without_fickle(bed.outcome()), faults)
        figures = {**verdict.figures, "freezes": freezes + 2 * others}
        problems = [*verdict.problems, *bed.crashes, *settled_twice(bed)]
    return Result("T20 frozen processes", figures, problems)


def without_fickle(outcome: Outcome) -> Outcome:
    """The outcome, with the events that a redelivery may dead-letter as handled.

    Whether such an event succeeds depends on which of its deliveries ends first.
    """
    fickle = {i for i in outcome.dead if _may_be_dead(i)}
    return replace(
        outcome,
        handled=[*outcome.handled, *(fickle - set(outcome.handled))],
        dead=[i for i in outcome.dead if i not in fickle],
    )


def settled_twice(bed: Testbed) -> list[str]:
    """One problem for each kind of event that was settled twice."""
    problems = []
    copies: Counter[str] = Counter()
    for _, fields in bed.server.execute("XRANGE", STREAM, "-", "+"):
        copies[json.loads(fields["event"])["id"]] += 1
    fraction = {i: id_fraction(f"retry {i}") for i in copies}
    retried = [
        i for i, count in copies.items() if count > 1 + (fraction[i] < RETRY_SHARE)
    ]
    if retried:
        problems.append(f"{len(retried)} scheduled twice: {retried[:3]}")
    dead = Counter(letter["dead.event_id"] for letter in bed.dead_letters())
    twice = [i for i, count in dead.items() if count > 1]
    if twice:
        problems.append(f"{len(twice)} with two dead letters: {twice[:3]}")
    logs = (path.read_text() for path in bed.folder.glob("log-*"))
    orphans = sum(log.count(_TAKEN_FOR_AN_ORPHAN) for log in logs)
    if orphans:
        problems.append(f"{orphans} acknowledged by a consumer that did not own them")
    return problems


async def _freeze(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Stop a process with SIGSTOP for some seconds."""
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    process.send_signal(signal.SIGCONT)


def _may_be_dead(event_id: str) -> bool:
    return not event_id.endswith("p") and is_fickle(event_id, FICKLE_SHARE)


def _seconds(bed: Testbed) -> float:
    return bed.rng.uniform(2, 4) * LEASE
