"""Time to scrape many series, and the delay it causes for handlers."""

import asyncio
import time
from collections.abc import Iterable
from http.client import HTTPConnection
from random import Random
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from benchmarks.figures import Figure, Settings, alternate, percentile
from benchmarks.job import result_of, run_job, start_job
from benchmarks.redis_server import PrivateRedis
from benchmarks.workload import TYPE
from evmon import Event, EventBus, MetricsConfig
from evmon._http.exposition import Exposition
from evmon._telemetry import instruments as i
from evmon._telemetry.meter import Meter
from evmon._telemetry.provider import Telemetry

SERIES = 1000
SCRAPES_PER_SECOND = 20
EVENTS_PER_SECOND = 500
_CACHED = f"{SCRAPES_PER_SECOND} scrapes/s"
_UNCACHED = f"{_CACHED}, each rendered separately"
_NONE = "no scrapes"


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Compare a scrape with `generate_latest`, and handlers with and without scrapes."""
    return [_scrape_duration(settings), *_handler_delays(settings)]


def _scrape_duration(settings: Settings) -> Figure:
    telemetry = Telemetry("bench")
    record_series(telemetry.meter)
    families = StaticCollector(telemetry.families())
    exposition = Exposition(telemetry.scrape, 0.0, time.monotonic)

    def scrape() -> float:
        started = time.perf_counter()
        exposition.render("", "")
        return time.perf_counter() - started

    def generate() -> float:
        started = time.perf_counter()
        generate_latest(families)
        return time.perf_counter() - started

    scrape()
    contenders = {"scrape": scrape, "generate_latest": generate}
    results = alternate("scrape", contenders, settings)
    telemetry.shutdown()
    return results.ratio(
        *("scrape", "generate_latest"),
        name=f"{SERIES} histogram series / generate_latest of the same",
        at_least=False,
        bar=1.3,
        reach=0.5,
    )


def _handler_delays(settings: Settings) -> list[Figure]:
    def p99(scrapes: int, cache_seconds: float) -> float:
        return float(
            run_job(
                "scrape:p99_of_handler_start",
                seconds=settings.count(10),
                scrapes=scrapes,
                cache_seconds=cache_seconds,
            )
        )

    results = alternate(
        "scrape",
        {
            _CACHED: lambda: p99(SCRAPES_PER_SECOND, 1.0),
            _UNCACHED: lambda: p99(SCRAPES_PER_SECOND, 0.0),
            _NONE: lambda: p99(0, 1.0),
        },
        settings,
    )
    return [
        results.ratio(
            *(scrapes, _NONE),
            name=f"p99 of handler start: {scrapes} / none",
            at_least=False,
        )
        for scrapes in (_CACHED, _UNCACHED)
    ]


class StaticCollector(Collector):
    """A collector of fixed metric families.

    Args:
        families: metric families to collect.
    """

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """The metric families."""
        return self._families


def record_series(meter: Meter) -> None:
    """Record 20 measurements in each of the series of one histogram."""
    rng = Random(1)
    for number in range(SERIES):
        labels = dict.fromkeys(i.PROCESS_DURATION.attributes, "x")
        record = meter.bind(i.PROCESS_DURATION, {**labels, i.HANDLER: f"h{number}"})
        for _ in range(20):
            record(rng.expovariate(10))


async def p99_of_handler_start(
    seconds: int, scrapes: int, *, cache_seconds: float
) -> float:
    """The p99 delay of handlers on ``memory://``, in milliseconds.

    Args:
        seconds: duration of the measurement.
        scrapes: scrapes per second.
        cache_seconds: time for which a rendered scrape is reused.
    """
    delays: list[float] = []

    async def handle(event: Event[Any]) -> None:
        delays.append(time.perf_counter() - event.data)

    metrics = MetricsConfig(port=0, cache_seconds=cache_seconds)
    bus = EventBus("bench", metrics=metrics)
    bus.add_handler(TYPE, handle)
    async with bus:
        record_series(bus._runtime.telemetry.meter)
        scraper = start_job(
            "scrape:scraper", url=bus.metrics_url, rate=scrapes, seconds=seconds
        )
        await asyncio.sleep(0.5)
        started = time.perf_counter()
        # Counted from the due time, so a delay of the publisher is included.
        for number in range(seconds * EVENTS_PER_SECOND):
            due = started + number / EVENTS_PER_SECOND
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            await bus.publish(TYPE, due)
        answered = await asyncio.to_thread(result_of, scraper)
    if answered < seconds * scrapes / 4:
        raise RuntimeError(f"only {answered} scrapes succeeded")
    return percentile(delays, 0.99) * 1000


def scraper(url: str, rate: int, seconds: int) -> int:
    """Scrape on one connection, as Prometheus does; returns the number of scrapes.

    Args:
        url: URL of the metrics.
        rate: scrapes per second.
        seconds: duration.
    """
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port)
    count = 0
    end = time.monotonic() + seconds + 0.5
    while rate and time.monotonic() < end:
        connection.request("GET", address.path)
        connection.getresponse().read()
        count += 1
        time.sleep(1 / rate)
    connection.close()
    return count
