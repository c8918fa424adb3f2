"""Deletes data and groups, kills connections, and makes Redis full or read-only."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chaos.checker import FaultCounts, check, metric_differences
from chaos.metrics import metric_sum, scrape_all
from chaos.redis_server import free_port
from chaos.result import Options, Result
from chaos.testbed import GROUP, STREAM, Testbed, start_testbed

EVENTS = 6000
RATE = 2000.0
IN_FLIGHT = 20
TRIMS = 4
CLIENT_KILLS = 100


@dataclass(frozen=True, slots=True)
class Damage:
    """One kind of damage, and its allowed effects.

    Attributes:
        name: name in the results, such as the Redis command.
        inflict: damages the server.
        handler_seconds: duration of a handler; above 0 the stream has a backlog.
        poison_share: share of events that the handler rejects.
        loses_events: whether it deletes events.
        redelivers_all: whether all events may be delivered again.
        reports_losses: whether evmon must report exactly the lost events.
        recreates_group: whether evmon must recreate the consumer group.
    """

    name: str
    inflict: Callable[[Testbed], Awaitable[None]]
    handler_seconds: float = 0.0
    poison_share: float = 0.01
    loses_events: bool = False
    redelivers_all: bool = False
    reports_losses: bool = False
    recreates_group: bool = False


async def _flushall(bed: Testbed) -> None:
    bed.server.execute("FLUSHALL")


async def _destroy(bed: Testbed) -> None:
    bed.server.execute("XGROUP", "DESTROY", STREAM, GROUP)


async def _delconsumer(bed: Testbed) -> None:
    for consumer in bed.server.execute("XINFO", "CONSUMERS", STREAM, GROUP):
        bed.server.execute("XGROUP", "DELCONSUMER", STREAM, GROUP, consumer["name"])


async def _trim(bed: Testbed) -> None:
    for _ in range(TRIMS):
        bed.server.execute("XTRIM", STREAM, "MAXLEN", "=", 50)
        await asyncio.sleep(0.3)


async def _client_kill(bed: Testbed) -> None:
    for _ in range(CLIENT_KILLS):
        bed.proxy.cuts += 1
        bed.server.execute("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "yes")
        await asyncio.sleep(0.02)


async def _out_of_memory(bed: Testbed) -> None:
    bed.server.execute("CONFIG", "SET", "maxmemory", "1")
    await asyncio.sleep(1.5)
    bed.server.execute("CONFIG", "SET", "maxmemory", "0")


async def _read_only(bed: Testbed) -> None:
    # Leases cannot be renewed in this time, as if the network were cut.
    bed.proxy.cuts += 1
    bed.server.execute("REPLICAOF", "127.0.0.1", free_port())
    await asyncio.sleep(1.5)
    bed.server.execute("REPLICAOF", "NO", "ONE")


DAMAGES = (
    Damage(
        *("FLUSHALL", _flushall, 0.05, 0.0), loses_events=True, recreates_group=True
    ),
    Damage(
        *("XGROUP DESTROY", _destroy, 0.0, 0.0),
        redelivers_all=True,
        recreates_group=True,
    ),
    Damage("DELCONSUMER", _delconsumer, 0.05, 0.2),
    Damage("XTRIM", _trim, 0.05, 0.0, loses_events=True, reports_losses=True),
    Damage("CLIENT KILL", _client_kill),
    Damage("OOM", _out_of_memory),
    Damage("READONLY", _read_only),
)


async def run(options: Options) -> list[Result]:
    """Each damage in a separate testbed."""
    events = options.events or EVENTS
    return [
        await _run(options.seed + number, damage, events)
        for number, damage in enumerate(DAMAGES)
    ]


async def _run(seed: int, damage: Damage, events: int) -> Result:
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with start_testbed(seed) as bed:
        for _ in range(3):
            bed.start_consumer(
                max_concurrency=IN_FLIGHT, handler_seconds=damage.handler_seconds
            )
        await bed.wait_until_ready()
        share = damage.poison_share
        bed.start_publisher(events, RATE, poison_share=share, batch_size=50)
        await bed.wait_for_entries(events // 3)
        await damage.inflict(bed)
        # Whatever the damage, later events must be handled.
        bed.start_publisher(500, RATE, poison_share=0)
        await bed.wait_until_published()
        settled = await bed.wait_until_settled()
        await asyncio.sleep(1.2)
        outcome = bed.outcome()
        faults = FaultCounts(
            cuts=bed.proxy.cuts,
            max_concurrency=IN_FLIGHT,
            expected_duplicates=len(outcome.published) * damage.redelivers_all,
        )
        verdict = check(outcome, faults, allow_loss=damage.loses_events)
        problems = [*verdict.problems, *bed.crashes]
        if not settled:
            problems.append("consumers did not recover")
        late = {i for i in outcome.published if i.startswith(f"{bed.last_name}-")}
        if not late or late - set(outcome.handled):
            problems.append("events published after the damage were not handled")
        texts = await scrape_all(bed)
        lost = metric_sum(texts, "evmon_events_lost_total")
        if damage.reports_losses or not damage.loses_events:
            problems += metric_differences({"lost": lost}, {"lost": verdict.lost})
        recreated = metric_sum(texts, "evmon_consumer_group_recreations_total")
        if bool(recreated) != damage.recreates_group:
            problems.append(f"{recreated} consumer groups were recreated")
        figures = {
            **verdict.figures,
            "refused": len(outcome.refused),
            "reported lost": lost,
            "groups recreated": recreated,
        }
    return Result(f"T5 {damage.name}", figures, problems, loop.time() - started)
