"""The consumer process: runs an `EventBus` and records every handled event.

The handler records an event before it returns, so every acknowledged event is recorded.
A thread scrapes the metrics into a file every half second.
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

from chaos.journal import POISON, Journal, id_fraction, is_fickle
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
    """Options of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--lease", type=float, default=1.0)
    parser.add_argument("--max-concurrency", type=int, default=100)
    parser.add_argument("--drain-timeout", type=float, default=2.0)
    parser.add_argument("--timeout", type=float, default=2.0)
    parser.add_argument("--pattern", default="chaos.event")
    parser.add_argument("--handler-seconds", type=float, default=0.0)
    parser.add_argument(
        "--slow-share", type=float, default=0.0, help="share of slow events"
    )
    parser.add_argument(
        "--slow-seconds", type=float, default=5.0, help="handler time of slow events"
    )
    parser.add_argument(
        "--blocking-share",
        type=float,
        default=0.0,
        help="share of events that block the event loop for two leases",
    )
    parser.add_argument(
        "--retry-share", type=float, default=0.0, help="share of events retried once"
    )
    parser.add_argument(
        "--failing-share",
        type=float,
        default=0.0,
        help="share of poison events that fail instead of being rejected",
    )
    parser.add_argument(
        "--fickle-share",
        type=float,
        default=0.0,
        help="share of events that are rejected when they are redelivered",
    )
    parser.add_argument(
        "--measure-latency", type=int, default=0, help="1: record the latency"
    )
    parser.add_argument(
        "--batch-handler", type=int, default=0, help="1: use a batch handler"
    )
    return parser.parse_args()


class RecordingHandler:
    """Handles events as the options say, and records them.

    Args:
        args: options of the command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._pid = os.getpid()
        self._journal = Journal(args.folder / f"handled-{args.name}")

    async def handle(self, event: Event[Any], delivery: Delivery) -> None:
        """Reject, retry, or wait and record the event."""
        start = time.monotonic()
        args = self._args
        if event.id.endswith(POISON):
            await asyncio.sleep(args.handler_seconds)
            if id_fraction(f"failing {event.id}") < args.failing_share:
                raise ValueError("poison")
            raise Reject("poison")
        if delivery.attempt == 1:
            fraction = id_fraction(f"retry {event.id}")
            if fraction < args.retry_share:
                # Delays above one second are scheduled in Redis.
                raise RetryLater(0.05 if fraction < args.retry_share / 2 else 1.2)
        if args.slow_share or args.blocking_share:
            fraction = id_fraction(event.id)
            if fraction < args.slow_share:
                await asyncio.sleep(args.slow_seconds)
            elif fraction < args.slow_share + args.blocking_share:
                time.sleep(2 * args.lease)
        if args.handler_seconds:
            await asyncio.sleep(args.handler_seconds)
        if delivery.redelivered and is_fickle(event.id, args.fickle_share):
            raise Reject("redelivered")
        end = time.monotonic()
        event_id = quote(event.id, errors="replace")[:200]
        line = f"{event_id} {self._pid} {start:.4f} {end:.4f}"
        if args.measure_latency:
            line += f" {time.time() - event.time.timestamp():.4f}"
        self._journal.write(f"{line}\n")

    async def handle_batch(self, events: list[Event[Any]]) -> None:
        """Handle a batch; rejects all of it if one event is poison."""
        if any(event.id.endswith(POISON) for event in events):
            raise Reject("poison")
        for event in events:
            await self.handle(event, Delivery())


def save_scrapes(bus: EventBus, path: Path, ready: Path, done: threading.Event) -> None:
    """Save scrapes to a file, and create another once the bus is ready.

    Args:
        bus: bus whose metrics are scraped.
        path: file for the last scrape.
        ready: file that is created, with the URL of the metrics in it.
        done: set to stop.
    """
    while not done.wait(SCRAPE_INTERVAL if ready.exists() else 0.02):
        url = bus.metrics_url
        if url is None:
            continue
        with contextlib.suppress(OSError):
            _write(path, _get(url))
            if not ready.exists():
                # Raises HTTPError, an OSError, while /readyz replies with 503.
                _get(url.replace("/metrics", "/readyz"))
                _write(ready, url.encode())


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=2) as reply:
        return bytes(reply.read())


def _write(path: Path, content: bytes) -> None:
    """Replace a file atomically."""
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
            max_concurrency=args.max_concurrency,
            max_deliveries=1000,
            drain_timeout=args.drain_timeout,
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
    handler = RecordingHandler(args)
    bus.add_handler(
        args.pattern, handler.handle_batch if args.batch_handler else handler.handle
    )
    done = threading.Event()
    metrics, ready = (
        args.folder / f"{kind}-{args.name}" for kind in ("metrics", "ready")
    )
    scraper = threading.Thread(
        target=save_scrapes, args=(bus, metrics, ready, done), daemon=True
    )
    scraper.start()
    bus.run()
    done.set()


if __name__ == "__main__":
    main()
