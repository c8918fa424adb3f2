"""``evmon demo``: runs the sample shop with a live summary."""

import asyncio
import logging
import signal
import time
from collections.abc import Iterator
from typing import Final

import anyio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.logging import RichHandler

from evmon._cli.demo_shop import WINDOW_SECONDS, Shop
from evmon._cli.faults import DEFAULT_SECONDS, FAULTS, STARTS, Fault, expectation
from evmon._cli.output import console, styled

LIVE_INTERVAL: Final = 1.0
PLAIN_INTERVAL: Final = 5.0


async def run_demo(
    duration: float | None,
    rate: float,
    fault: str | None,
    transport: str = "memory://",
    fault_seconds: float = DEFAULT_SECONDS,
) -> int:
    """Run the shop for `duration` seconds or until a signal; returns the exit code.

    Args:
        duration: seconds to run; None runs until a signal.
        rate: events to publish per second.
        fault: name of the fault to inject; None injects none.
        transport: URL of the transport.
        fault_seconds: duration of the fault in seconds.
    """
    out = console()
    handler = RichHandler(
        console=out, show_path=False, markup=False, rich_tracebacks=False
    )
    logging.basicConfig(level="INFO", format="%(message)s", handlers=[handler])
    if not logging.getLogger("evmon.consumer").isEnabledFor(logging.DEBUG):
        logging.getLogger("evmon.consumer").setLevel(logging.CRITICAL)
    # The live summary below prints the same.
    logging.getLogger("evmon.bus").setLevel(logging.WARNING)
    logging.getLogger("evmon.discovery").setLevel(logging.ERROR)
    shop = Shop(rate, fault, transport, fault_seconds)
    async with shop.bus:
        out.print(styled(f"Serving {shop.bus.metrics_url} (Ctrl-C to stop)"))
        if fault:
            for line in _about(FAULTS[fault], fault, fault_seconds):
                out.print(styled(line))
        async with anyio.create_task_group() as group:
            group.start_soon(shop.live)
            group.start_soon(_show, shop, out)
            await _until(duration)
            group.cancel_scope.cancel()
    out.print(styled(f"Published {shop.published} events; drained and stopped."))
    return 0


def _about(fault: Fault, name: str, seconds: float) -> Iterator[str]:
    ends = STARTS + seconds
    yield f"Fault {name}, from second {STARTS:g} to {ends:g}: {fault.what}"
    yield f"The monitor's limits apply to the last {WINDOW_SECONDS:g} s here."
    yield expectation(fault, seconds)


async def _until(duration: float | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with anyio.move_on_after(duration):
        await stop.wait()


async def _show(shop: Shop, out: Console) -> None:
    if not out.is_terminal:
        while True:
            await asyncio.sleep(PLAIN_INTERVAL)
            out.print(_view(shop, 0.0))
    last_count, last_time = 0, time.monotonic()
    with Live(console=out, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(LIVE_INTERVAL)
            now = time.monotonic()
            rate = (shop.published - last_count) / (now - last_time)
            last_count, last_time = shop.published, now
            live.update(_view(shop, rate), refresh=True)


def _view(shop: Shop, rate: float) -> RenderableType:
    monitor = shop.bus.monitor
    lines: list[RenderableType] = [
        styled(line) for line in monitor.get_performance_summary().split("\n")
    ]
    if rate:
        lines.append(styled(f"  Events: {rate:.0f}/s ({shop.published} published)"))
    if shop.problem:
        lines.append(styled(f"Cannot publish, retrying: {shop.problem}", "bold red"))
    for recommendation in monitor.get_recommendations():
        finding = recommendation.finding
        style = "bold red" if finding.severity == "critical" else "yellow"
        text = f"{finding.severity.upper()} {finding.alert}: {finding.message}"
        lines.append(styled(text, style=style))
        lines.append(styled(f"  Next: {recommendation.next_step}", style="dim"))
    return Group(*lines)
