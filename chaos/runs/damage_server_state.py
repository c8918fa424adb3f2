"""T5: somebody does things to the server that nobody should."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chaos.checker import Load, check, differences
from chaos.result import Options, Result
from chaos.scrapes import scrape_all, total
from chaos.servers import free_port
from chaos.world import GROUP, STREAM, World, world

EVENTS = 6000
RATE = 2000.0
IN_FLIGHT = 20
TRIMS = 4
CLIENT_KILLS = 100


@dataclass(frozen=True, slots=True)
class State:
    """Something that is done to the server.

    Attributes:
        name: of it.
        do: does it.
        handler_seconds: long enough, and there is a backlog.
        poison: share of events that the handler refuses, when it is through.
        loses: whether events are taken away.
        repeats: whether events may come again without bound.
        counted: whether evmon counts the lost ones, every single one.
        regroups: whether the group must have been made anew.
    """

    name: str
    do: Callable[[World], Awaitable[None]]
    handler_seconds: float = 0.0
    poison: float = 0.01
    loses: bool = False
    repeats: bool = False
    counted: bool = False
    regroups: bool = False


async def _flushall(w: World) -> None:
    w.server.ask("FLUSHALL")


async def _destroy(w: World) -> None:
    w.server.ask("XGROUP", "DESTROY", STREAM, GROUP)


async def _delconsumer(w: World) -> None:
    for consumer in w.server.ask("XINFO", "CONSUMERS", STREAM, GROUP):
        w.server.ask("XGROUP", "DELCONSUMER", STREAM, GROUP, consumer["name"])


async def _trim(w: World) -> None:
    for _ in range(TRIMS):
        w.server.ask("XTRIM", STREAM, "MAXLEN", "=", 50)
        await asyncio.sleep(0.3)


async def _client_kill(w: World) -> None:
    for _ in range(CLIENT_KILLS):
        w.proxy.cuts += 1
        w.server.ask("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "yes")
        await asyncio.sleep(0.02)


async def _out_of_memory(w: World) -> None:
    w.server.ask("CONFIG", "SET", "maxmemory", "1")
    await asyncio.sleep(1.5)
    w.server.ask("CONFIG", "SET", "maxmemory", "0")


async def _read_only(w: World) -> None:
    # Nothing can be renewed or acked meanwhile, as if the network were cut.
    w.proxy.cuts += 1
    w.server.ask("REPLICAOF", "127.0.0.1", free_port())
    await asyncio.sleep(1.5)
    w.server.ask("REPLICAOF", "NO", "ONE")


STATES = (
    State("FLUSHALL", _flushall, 0.05, poison=0, loses=True, regroups=True),
    State("XGROUP DESTROY", _destroy, poison=0, repeats=True, regroups=True),
    State("DELCONSUMER", _delconsumer, 0.05, poison=0.2),
    State("XTRIM", _trim, 0.05, poison=0, loses=True, counted=True),
    State("CLIENT KILL", _client_kill),
    State("OOM", _out_of_memory),
    State("READONLY", _read_only),
)


async def run(options: Options) -> list[Result]:
    """Each state, in a world of its own."""
    events = options.events or EVENTS
    return [
        await _run(options.seed + number, state, events)
        for number, state in enumerate(STATES)
    ]


async def _run(seed: int, state: State, events: int) -> Result:
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with world(seed) as w:
        for _ in range(3):
            w.consumer(in_flight=IN_FLIGHT, seconds=state.handler_seconds)
        await w.ready()
        w.publisher(events, RATE, poison=state.poison, chunk=50)
        await w.length(events // 3)
        await state.do(w)
        # What comes from now on must come through, whatever was done.
        w.publisher(500, RATE, poison=0)
        await w.published()
        settled = await w.settled()
        await asyncio.sleep(1.2)
        truth = w.truth()
        more = len(truth.published) if state.repeats else 0
        load = Load(cuts=w.proxy.cuts, in_flight=IN_FLIGHT, more=more)
        verdict = check(truth, load, may_lose=state.loses)
        problems = [*verdict.problems, *w.crashes]
        if not settled:
            problems.append("it did not recover")
        late = {i for i in truth.published if i.startswith(f"{w.last_name}-")}
        if not late or late - set(truth.handled):
            problems.append("events that came later were not handled")
        texts = await scrape_all(w)
        told = total(texts, "evmon_events_lost_total")
        if state.counted or not state.loses:
            problems += differences({"lost": told}, {"lost": verdict.lost})
        regroups = total(texts, "evmon_consumer_group_recreations_total")
        if bool(regroups) != state.regroups:
            problems.append(f"{regroups} groups were made anew")
        figures = {
            **verdict.figures,
            "refused": len(truth.refused),
            "told lost": told,
            "groups made anew": regroups,
        }
    return Result(f"T5 {state.name}", figures, problems, loop.time() - started)
