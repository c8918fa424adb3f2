"""A process that consumes by `EventBus.run`, and writes down what it handled.

The line is appended before the handler returns, so an event that is acked is on file. The
metrics are scraped into a file every half second, and when the bus has stopped.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chaos.files import POISON, Journal, chance
from evmon import (
    ConsumerConfig,
    Delivery,
    Event,
    EventBus,
    MetricsConfig,
    RedisConfig,
    Reject,
    RetryLater,
    RetryPolicy,
)

SCRAPE_INTERVAL = 0.5


def arguments() -> argparse.Namespace:
    """What the process is told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--lease", type=float, default=1.0)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--drain", type=float, default=2.0)
    parser.add_argument("--timeout", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=0.0, help="each handler takes")
    parser.add_argument("--slow", type=float, default=0.0, help="share of slow events")
    parser.add_argument("--slow-seconds", type=float, default=5.0)
    parser.add_argument("--blocking", type=float, default=0.0, help="share, 2 x lease")
    parser.add_argument("--latency", type=int, default=0, help="1 measures it")
    parser.add_argument("--later", type=float, default=0.0, help="share tried twice")
    parser.add_argument("--many", type=int, default=0, help="1: many in one call")
    parser.add_argument("--pattern", default="chaos.event")
    return parser.parse_args()


class Handling:
    """The handler of the runs.

    Args:
        args: of the process.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._pid = os.getpid()
        self._journal = Journal(args.folder / f"handled-{args.name}")

    async def handle(self, event: Event[Any], delivery: Delivery) -> None:
        """Take the time that the event takes, and write its id down."""
        start = time.monotonic()
        args = self._args
        if event.id.endswith(POISON):
            await asyncio.sleep(args.seconds)
            raise Reject("poison")
        if args.later and delivery.attempt == 1:
            drawn = chance(f"later {event.id}")
            if drawn < args.later:
                # Half of them wait in the process, half in the schedule in Redis.
                raise RetryLater(0.05 if drawn < args.later / 2 else 1.2)
        if args.slow or args.blocking:
            drawn = chance(event.id)
            if drawn < args.slow:
                await asyncio.sleep(args.slow_seconds)
            elif drawn < args.slow + args.blocking:
                time.sleep(2 * args.lease)
        if args.seconds:
            await asyncio.sleep(args.seconds)
        end = time.monotonic()
        event_id = quote(event.id, errors="replace")[:200]
        line = f"{event_id} {self._pid} {start:.4f} {end:.4f}"
        if args.latency:
            line += f" {time.time() - event.time.timestamp():.4f}"
        self._journal.write(f"{line}\n")

    async def handle_many(self, events: list[Event[Any]]) -> None:
        """Handle events that came together, unless one of them is poison."""
        if any(event.id.endswith(POISON) for event in events):
            raise Reject("poison")
        for event in events:
            await self.handle(event, Delivery())


def keep_metrics(bus: EventBus, path: Path, ready: Path, done: threading.Event) -> None:
    """Scrape into a file until `done`, and say when it is ready; runs in a thread."""
    while not done.wait(SCRAPE_INTERVAL if ready.exists() else 0.02):
        url = bus.metrics_url
        if url is None:
            continue
        with contextlib.suppress(OSError):
            _put(path, _get(url))
            if not ready.exists():
                # Refused, with an OSError, until the group exists and was read from.
                _get(url.replace("/metrics", "/readyz"))
                _put(ready, url.encode())


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=2) as reply:
        return bytes(reply.read())


def _put(path: Path, content: bytes) -> None:
    """Write a file in one step, so that nobody reads half of it."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    draft.replace(path)


def main() -> None:
    """Consume until SIGTERM."""
    args = arguments()
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("evmon.consumer").setLevel(logging.CRITICAL)
    mutant = os.environ.get("EVMON_CHAOS_MUTANT")
    if mutant:
        from chaos.mutants import apply

        apply(mutant)
    bus = EventBus(
        "chaos",
        args.url,
        auto_discovery=False,
        consumer=ConsumerConfig(
            max_concurrency=args.in_flight,
            max_deliveries=1000,
            drain_timeout=args.drain,
        ),
        redis=RedisConfig(
            lease=args.lease,
            timeout=args.timeout,
            upkeep_interval=0.5,
            connect_within=30,
        ),
        retry=RetryPolicy(max_retries=3, base_delay=0.05, max_delay=0.5),
        metrics=MetricsConfig(port=0, cache_seconds=0),
    )
    handling = Handling(args)
    bus.add_handler(
        args.pattern, handling.handle_many if args.many else handling.handle
    )
    done = threading.Event()
    metrics, ready = (
        args.folder / f"{kind}-{args.name}" for kind in ("metrics", "ready")
    )
    keeper = threading.Thread(
        target=keep_metrics, args=(bus, metrics, ready, done), daemon=True
    )
    keeper.start()
    bus.run()
    done.set()


if __name__ == "__main__":
    main()
