"""T2: a process dies exactly where it hurts, again and again."""

import asyncio
import os
import subprocess
import sys
import time

from chaos.checker import Load, check
from chaos.result import Options, Result
from chaos.world import World, world
from evmon._failpoints import POINTS

KILLS = 25
RATE = 2000.0
LATER = 0.05
DIE_WITHIN = 15.0
FIRST, LAST = (
    1,
    {
        "after_read": 30,
        "after_handler": 500,
        "after_ack": 30,
        "before_settle": 40,
        "after_settle": 40,
        "before_publish": 8,
        "after_publish": 8,
        "during_drain": 1,
        "after_reclaim": 1,
        "during_replay": 30,
    },
)
ENDLESS = 10**9


async def run(options: Options) -> list[Result]:
    """Every point in turn; `--events` is the number of kills at each."""
    kills = options.events or KILLS
    return [
        await _point(options.seed + number, name, kills)
        for number, name in enumerate(POINTS)
    ]


async def _point(seed: int, name: str, kills: int) -> Result:
    started = time.monotonic()
    async with world(seed) as w:
        if name.endswith("publish"):
            done = await _publishers(w, name, kills)
        elif name == "during_replay":
            done = await _replays(w, name, kills)
        else:
            done = await _consumers(w, name, kills)
        await w.published()
        await w.settled()
        verdict = check(w.truth(), Load(w.kills + done, consumers=2))
        problems = [*verdict.problems, *w.crashes]
        if done < kills:
            problems.append(f"only {done} of {kills} kills came about")
        figures = {"kills": done, **verdict.figures}
    return Result(f"T2 {name}", figures, problems, time.monotonic() - started)


def _env(w: World, name: str) -> dict[str, object]:
    return {"EVMON_FAILPOINT": f"{name}:{w.rng.randint(FIRST, LAST[name])}"}


async def _died(process: "subprocess.Popen[bytes]") -> bool:
    deadline = time.monotonic() + DIE_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    return process.poll() == -9


async def _consumers(w: World, name: str, kills: int) -> int:
    """A consumer that dies, beside one that does not."""
    publisher = w.publisher(ENDLESS, RATE, poison=0.05, chunk=100)
    other = w.consumer(seconds=0.01, later=LATER)
    await w.ready(other)
    done = 0
    for _ in range(2 * kills):
        if done == kills:
            break
        victim = w.consumer(_env(w, name), seconds=0.01, later=LATER)
        if name == "during_drain":
            await w.ready(victim)
            await asyncio.sleep(w.rng.uniform(0.1, 0.5))
            victim.process.terminate()
        elif name == "after_reclaim":
            await asyncio.sleep(1.0)
            # What a killed one left behind is for the victim to take over.
            w.kill(other)
        if await _died(victim.process):
            w.reap(victim)
            done += 1
        else:
            w.kill(victim)
        if name == "after_reclaim":
            other = w.consumer(seconds=0.01, later=LATER)
            await w.ready(other)
    publisher.terminate()
    return done


async def _publishers(w: World, name: str, kills: int) -> int:
    """Publishers that die, one after another."""
    for _ in range(2):
        w.consumer()
    await w.ready()
    done = 0
    for _ in range(kills):
        process = w.publisher(ENDLESS, RATE, _env(w, name), poison=0.05, chunk=100)
        done += await _died(process)
    w.publisher(500, poison=0.05)
    return done


async def _replays(w: World, name: str, kills: int) -> int:
    """`evmon dlq replay` dies on its way, while consumers put things aside again."""
    for _ in range(2):
        w.consumer()
    await w.ready()
    w.publisher(500, poison=0.3)
    await w.published()
    await w.settled()
    done = 0
    for _ in range(kills):
        done += await _died(_replay(w, _env(w, name)))
    await _died(_replay(w, {}))
    return done


def _replay(w: World, env: dict[str, object]) -> "subprocess.Popen[bytes]":
    url = f"redis://127.0.0.1:{w.proxy.port}/0"
    command = [sys.executable, "-m", "evmon", "dlq", "replay", "--service", "chaos"]
    return subprocess.Popen(
        [*command, "--transport", url],
        stdout=subprocess.DEVNULL,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path),
            **{key: str(value) for key, value in env.items()},
        },
    )
