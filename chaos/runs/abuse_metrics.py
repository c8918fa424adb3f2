"""T12: ``/metrics`` is abused while events are handled."""

import asyncio
import contextlib
import time
from urllib.parse import urlsplit

from chaos import files
from chaos.checker import Load, check
from chaos.result import Options, Result
from chaos.scrapes import parse
from chaos.world import Worker, World, world

RATE = 500.0
HALF_OPEN = 500
PARALLEL = 50
ROUNDS = 5
PHASE = 6.0
SLOWEST_SCRAPE = 1.0
SLOWEST_EVENT = 0.25


async def run(options: Options) -> list[Result]:
    """Half-open connections, a huge header, and many scrapes at once."""
    seconds = options.seconds or PHASE
    async with world(options.seed) as w:
        worker = w.consumer(latency=1)
        await w.ready()
        w.publisher(round(RATE * seconds * 2), RATE, chunk=10)
        await asyncio.sleep(seconds)
        cut = time.monotonic()
        times, failed, refused = await _abuse(w, worker)
        ended = time.monotonic()
        await w.published()
        settled = await w.settled()
        text = await w.scrape(worker)
        verdict = check(w.truth(), Load())
        runs = files.handlings(w.folder)
        problems = [*verdict.problems, *w.crashes]
    calm = [r.latency for r in runs if r.start < cut]
    busy = [r.latency for r in runs if cut <= r.start < ended]
    slowest = _p99(times)
    if not settled:
        problems.append("events were left")
    if not parse(text):
        problems.append("no metrics at the end")
    if slowest > SLOWEST_SCRAPE:
        problems.append(f"p99 of scrapes {slowest:.2f} s")
    if failed:
        problems.append(f"{failed} scrapes were not answered")
    if _p99(busy) > SLOWEST_EVENT:
        problems.append(f"p99 of events {_p99(busy):.2f} s")
    figures = {
        **verdict.figures,
        "half-open": HALF_OPEN,
        "scrapes": len(times),
        "not answered": failed,
        "1 MB header": refused,
        "scrape p99 ms": round(slowest * 1000),
        "event p99 ms calm": round(_p99(calm) * 1000, 1),
        "event p99 ms abused": round(_p99(busy) * 1000, 1),
    }
    return [Result("T12 /metrics abuse", figures, problems)]


async def _abuse(w: World, worker: Worker) -> tuple[list[float], int, str]:
    url = urlsplit((w.folder / f"ready-{worker.name}").read_text())
    port = url.port or 0
    half = [await _half_open(port) for _ in range(HALF_OPEN)]
    refused = await _huge_header(port)
    times: list[float] = []
    failed = 0
    for _ in range(ROUNDS):
        answers = await asyncio.gather(*(_scrape(port) for _ in range(PARALLEL)))
        times += [t for t in answers if t is not None]
        failed += answers.count(None)
    for writer in half:
        writer.close()
    return times, failed, refused


async def _half_open(port: int) -> asyncio.StreamWriter:
    """A client that begins a request and says no more."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
    return writer


async def _huge_header(port: int) -> str:
    """The status that a header of 1 MB is answered with."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with contextlib.suppress(OSError):
        writer.write(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 1_000_000)
        answer = await asyncio.wait_for(reader.read(100), 10)
    writer.close()
    return answer[9:12].decode() or "closed"


async def _scrape(port: int) -> float | None:
    """Seconds that a scrape took; None when it was not answered."""
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
