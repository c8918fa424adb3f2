"""Overloads ``/metrics`` with connections, headers and scrapes while events are handled."""

import asyncio
import contextlib
import time
from urllib.parse import urlsplit

from chaos import journal
from chaos.checker import FaultCounts, check
from chaos.metrics import parse_samples
from chaos.result import Options, Result
from chaos.testbed import ConsumerProcess, Testbed, start_testbed

RATE = 500.0
INCOMPLETE_REQUESTS = 500
PARALLEL_SCRAPES = 50
ROUNDS = 5
PHASE = 6.0
"""Seconds of load before the abuse starts, and about as many after."""
MAX_SCRAPE_SECONDS = 1.0
MAX_EVENT_SECONDS = 0.25


async def run(options: Options) -> list[Result]:
    """Compare the latency of events before and during the abuse."""
    seconds = options.seconds or PHASE
    async with start_testbed(options.seed) as bed:
        consumer = bed.start_consumer(measure_latency=1)
        await bed.wait_until_ready()
        bed.start_publisher(round(RATE * seconds * 2), RATE, batch_size=10)
        await asyncio.sleep(seconds)
        abuse_start = time.monotonic()
        times, failed, header_status = await _abuse(bed, consumer)
        abuse_end = time.monotonic()
        await bed.wait_until_published()
        settled = await bed.wait_until_settled()
        text = await bed.scrape(consumer)
        verdict = check(bed.outcome(), FaultCounts())
        runs = journal.handler_runs(bed.folder)
        problems = [*verdict.problems, *bed.crashes]
    before = [r.latency for r in runs if r.start < abuse_start]
    during = [r.latency for r in runs if abuse_start <= r.start < abuse_end]
    if not settled:
        problems.append("some events were not handled")
    if not parse_samples(text):
        problems.append("no metrics at the end")
    if _p99(times) > MAX_SCRAPE_SECONDS:
        problems.append(f"scrape p99 {_p99(times):.2f} s")
    if failed:
        problems.append(f"{failed} scrapes failed")
    if _p99(during) > MAX_EVENT_SECONDS:
        problems.append(f"event p99 {_p99(during):.2f} s")
    figures = {
        **verdict.figures,
        "incomplete requests": INCOMPLETE_REQUESTS,
        "scrapes": len(times),
        "failed scrapes": failed,
        "1 MB header": header_status,
        "scrape p99 ms": round(_p99(times) * 1000),
        "event p99 ms before": round(_p99(before) * 1000, 1),
        "event p99 ms during": round(_p99(during) * 1000, 1),
    }
    return [Result("T12 /metrics abuse", figures, problems)]


async def _abuse(
    bed: Testbed, consumer: ConsumerProcess
) -> tuple[list[float], int, str]:
    """Send all requests.

    Returns:
        Seconds of each successful scrape, failed scrapes, status of the huge request.
    """
    url = urlsplit((bed.folder / f"ready-{consumer.name}").read_text())
    port = url.port or 0
    open_requests = [
        await _incomplete_request(port) for _ in range(INCOMPLETE_REQUESTS)
    ]
    header_status = await _huge_header(port)
    times: list[float] = []
    failed = 0
    for _ in range(ROUNDS):
        durations = await asyncio.gather(
            *(_scrape(port) for _ in range(PARALLEL_SCRAPES))
        )
        times += [t for t in durations if t is not None]
        failed += durations.count(None)
    for writer in open_requests:
        writer.close()
    return times, failed, header_status


async def _incomplete_request(port: int) -> asyncio.StreamWriter:
    """Send the start of a request and leave the connection open."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
    return writer


async def _huge_header(port: int) -> str:
    """Send a header of 1 MB; returns the status of the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with contextlib.suppress(OSError):
        writer.write(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 1_000_000)
        answer = await asyncio.wait_for(reader.read(100), 10)
    writer.close()
    return answer[9:12].decode() or "closed"


async def _scrape(port: int) -> float | None:
    """Scrape once; returns the seconds it took, or None if it failed."""
    started = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(-1), 10)
        writer.close()
    except (OSError, TimeoutError, asyncio.TimeoutError):
        return None
    took = time.monotonic() - started
    return took if answer.startswith(b"HTTP/1.1 200") else None


def _p99(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[int(len(ordered) * 0.99)] if ordered else float("inf")
