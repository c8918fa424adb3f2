"""The publisher process: records the ids whose publish returned.

It exits when enough events were accepted, or after the current batch on SIGTERM.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from chaos.journal import POISON, Journal
from evmon import Batching, Event, EventBus, PublishRetry, RedisConfig


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--name", required=True, help="prefix of event ids")
    parser.add_argument("--rate", type=float, default=0, help="events/s; 0: no limit")
    parser.add_argument("--pause", type=float, default=0, help="s between bursts")
    parser.add_argument("--batch-size", type=int, default=200)
    parser.add_argument("--poison-share", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--padding", type=int, default=0, help="bytes of each event")
    parser.add_argument("--min-replicas", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=2.0)
    parser.add_argument("--mutant", default="", help="mutant of evmon to apply")
    return parser.parse_args()


def make(event_id: str, number: int, padding: int = 0) -> Event[Any]:
    """An event with this id, and so many bytes more."""
    return Event(
        id=event_id,
        source="chaos",
        type="chaos.event",
        time=datetime.now(timezone.utc),
        data={"n": number, "padding": "x" * padding},
    )


async def pause(seconds: float, stop: asyncio.Event) -> None:
    """Wait for some seconds, or until the process is to stop."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def main(args: argparse.Namespace) -> None:
    """Publish until enough events were accepted."""
    if args.mutant:
        from chaos.mutants import apply

        apply(args.mutant)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    bus = EventBus(
        "chaos",
        args.url,
        auto_discovery=False,
        batching=Batching(max_size=args.batch_size),
        redis=RedisConfig(
            timeout=args.timeout, connect_within=30, min_replicas=args.min_replicas
        ),
        publish_retry=PublishRetry(max_retries=3, base_delay=0.05, max_delay=0.5),
    )
    accepted = Journal(args.folder / f"published-{args.name}")
    refused = Journal(args.folder / f"refused-{args.name}")
    rng = random.Random(f"{args.seed}/{args.name}")
    count = number = 0
    async with bus:
        started = time.monotonic()
        while count < args.events and not stop.is_set():
            ids = []
            for _ in range(min(args.batch_size, args.events - count)):
                number += 1
                mark = POISON if rng.random() < args.poison_share else ""
                ids.append(f"{args.name}-{number:07}{mark}")
            results = await bus.publish_many(make(i, number, args.padding) for i in ids)
            outcomes = list(zip(ids, results, strict=True))
            good = [i for i, error in outcomes if error is None]
            bad = [i for i, error in outcomes if error is not None]
            accepted.write("".join(f"{i}\n" for i in good))
            refused.write("".join(f"{i}\n" for i in bad))
            count += len(good)
            if args.pause:
                await pause(args.pause, stop)
            if args.rate:
                ahead = count / args.rate - (time.monotonic() - started)
                if ahead > 0:
                    await asyncio.sleep(ahead)


if __name__ == "__main__":
    os.environ.pop("EVMON_CHAOS_MUTANT", None)
    asyncio.run(main(arguments()))
