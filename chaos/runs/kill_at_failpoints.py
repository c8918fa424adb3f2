"""Kills processes at each failpoint, such as before and after a settlement."""

import asyncio
import subprocess
import sys
import time

from chaos.checker import FaultCounts, check
from chaos.result import Options, Result
from chaos.testbed import UNLIMITED, Testbed, child_environment, start_testbed
from evmon._failpoints import POINTS

KILLS = 25
RATE = 2000.0
RETRY_SHARE = 0.05
DIE_WITHIN = 15.0
MAX_PASSES = {
    "after_read": 30,
    "after_handler": 500,
    "after_ack": 30,
    "before_settle": 40,
    "after_settle": 40,
    "before_publish": 8,
    "after_publish": 8,
    "during_drain": 1,
    "after_reclaim": 1,
    "during_replay": 1,
}
"""Most times that a process passes the failpoint before it is killed there."""


async def run(options: Options) -> list[Result]:
    """Each failpoint in turn; ``--events`` is the number of kills at each."""
    kills = options.events or KILLS
    return [
        await _point(options.seed + number, name, kills)
        for number, name in enumerate(POINTS)
    ]


async def _point(seed: int, name: str, kills: int) -> Result:
    started = time.monotonic()
    async with start_testbed(seed) as bed:
        if name.endswith("publish"):
            done = await _kill_publishers(bed, name, kills)
        elif name == "during_replay":
            done = await _kill_replays(bed, name, kills)
        else:
            done = await _kill_consumers(bed, name, kills)
        await bed.wait_until_published()
        await bed.wait_until_settled()
        verdict = check(bed.outcome(), FaultCounts(bed.kills + done, consumers=2))
        problems = [*verdict.problems, *bed.crashes]
        if done < kills:
            problems.append(f"only {done} of {kills} processes reached the failpoint")
        figures = {"kills": done, **verdict.figures}
    return Result(f"T2 {name}", figures, problems, time.monotonic() - started)


def _env(bed: Testbed, name: str) -> dict[str, object]:
    return {"EVMON_FAILPOINT": f"{name}:{bed.rng.randint(1, MAX_PASSES[name])}"}


async def _died(process: "subprocess.Popen[bytes]") -> bool:
    deadline = time.monotonic() + DIE_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    return process.poll() == -9


async def _kill_consumers(bed: Testbed, name: str, kills: int) -> int:
    """Start consumers with the failpoint, one at a time, next to one without it."""
    publisher = bed.start_publisher(UNLIMITED, RATE, poison_share=0.05, batch_size=100)
    other = bed.start_consumer(handler_seconds=0.01, retry_share=RETRY_SHARE)
    await bed.wait_until_ready(other)
    done = 0
    for _ in range(2 * kills):
        if done == kills:
            break
        victim = bed.start_consumer(
            _env(bed, name), handler_seconds=0.01, retry_share=RETRY_SHARE
        )
        if name == "during_drain":
            await bed.wait_until_ready(victim)
            await asyncio.sleep(bed.rng.uniform(0.1, 0.5))
            victim.process.terminate()
        elif name == "after_reclaim":
            await asyncio.sleep(1.0)
            # The victim reaches the failpoint when it claims these entries.
            bed.kill(other)
        if await _died(victim.process):
            bed.forget(victim)
            done += 1
        else:
            bed.kill(victim)
        if name == "after_reclaim":
            other = bed.start_consumer(handler_seconds=0.01, retry_share=RETRY_SHARE)
            await bed.wait_until_ready(other)
    publisher.terminate()
    return done


async def _kill_publishers(bed: Testbed, name: str, kills: int) -> int:
    """Start publishers with the failpoint, one at a time, then one without it."""
    for _ in range(2):
        bed.start_consumer()
    await bed.wait_until_ready()
    done = 0
    for _ in range(kills):
        process = bed.start_publisher(
            UNLIMITED, RATE, _env(bed, name), poison_share=0.05, batch_size=100
        )
        done += await _died(process)
    bed.start_publisher(500, poison_share=0.05)
    return done


async def _kill_replays(bed: Testbed, name: str, kills: int) -> int:
    """Run ``evmon dlq replay`` with the failpoint, while consumers reject events."""
    for _ in range(2):
        bed.start_consumer()
    await bed.wait_until_ready()
    bed.start_publisher(500, poison_share=0.3)
    await bed.wait_until_published()
    await bed.wait_until_settled()
    done = 0
    for _ in range(kills):
        done += await _died(_replay(bed, _env(bed, name)))
    await _died(_replay(bed, {}))
    return done


def _replay(bed: Testbed, env: dict[str, object]) -> "subprocess.Popen[bytes]":
    url = f"redis://127.0.0.1:{bed.proxy.port}/0"
    command = [sys.executable, "-m", "evmon", "dlq", "replay", "--service", "chaos"]
    return subprocess.Popen(
        [*command, "--transport", url],
        stdout=subprocess.DEVNULL,
        env=child_environment(env),
    )
