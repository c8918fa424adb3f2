"""What a scrape of many series costs, and whom it keeps waiting."""

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

from benchmarks.events import TYPE
from benchmarks.measure import (
    Figure,
    Settings,
    alternate,
    job,
    percentile,
    result_of,
    start_job,
)
from benchmarks.servers import PrivateRedis
from evmon import Event, EventBus, MetricsConfig
from evmon._http.exposition import Exposition
from evmon._telemetry import instruments as i
from evmon._telemetry.meter import Meter
from evmon._telemetry.provider import Telemetry

SERIES = 1000
SCRAPES_A_SECOND = 20
EVENTS_A_SECOND = 500
_AS_IT_COMES = f"{SCRAPES_A_SECOND} scrapes/s"
_ANEW = f"{_AS_IT_COMES}, each rendered anew"
_NONE = "no scrapes"


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """1000 histogram series: collected and rendered, against rendered only."""
    telemetry = Telemetry("bench")
    record_series(telemetry.meter)
    families = Static(telemetry.families())
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
    results = alternate({"scrape": scrape, "generate_latest": generate}, settings)
    telemetry.shutdown()
    seconds = settings.count(10)
    held_up = alternate(
        {
            name: lambda rate=rate, anew=anew: job(
                "scrape:p99_of_handler_start", seconds=seconds, scrapes=rate, anew=anew
            )
            for name, rate, anew in (
                (_AS_IT_COMES, SCRAPES_A_SECOND, False),
                (_ANEW, SCRAPES_A_SECOND, True),
                (_NONE, 0, False),
            )
        },
        settings,
    )
    return [
        results.ratio(
            *("scrape", "scrape", "generate_latest"),
            name=f"{SERIES} histogram series / generate_latest of the same",
            at_least=False,
            bar=1.3,
            reach=0.5,
        ),
        *(
            held_up.ratio(
                *("scrape", what, _NONE),
                name=f"p99 of handler start: {what} / none",
                at_least=False,
            )
            for what in (_AS_IT_COMES, _ANEW)
        ),
    ]


class Static(Collector):
    """Families as they were."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def record_series(meter: Meter) -> None:
    """Many series of one histogram, some measurements in each."""
    random = Random(1)
    for number in range(SERIES):
        labels = dict.fromkeys(i.PROCESS_DURATION.attributes, "x")
        record = meter.bind(i.PROCESS_DURATION, {**labels, i.HANDLER: f"h{number}"})
        for _ in range(20):
            record(random.expovariate(10))


async def p99_of_handler_start(seconds: int, scrapes: int, *, anew: bool) -> float:
    """Milliseconds until an event that is due is handled, on memory://."""
    waited: list[float] = []

    async def handle(event: Event[Any]) -> None:
        waited.append(time.perf_counter() - event.data)

    # By default, one rendering serves all scrapes of a second.
    metrics = MetricsConfig(port=0, cache_seconds=0.0 if anew else 1.0)
    bus = EventBus("bench", metrics=metrics)
    bus.add_handler(TYPE, handle)
    async with bus:
        record_series(bus._runtime.telemetry.meter)
        scraper = start_job(
            "scrape:scraper", url=bus.metrics_url, rate=scrapes, seconds=seconds
        )
        await asyncio.sleep(0.5)
        started = time.perf_counter()
        # From the moment that it was due: a publisher that is held up counts as well.
        for number in range(seconds * EVENTS_A_SECOND):
            due = started + number / EVENTS_A_SECOND
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            await bus.publish(TYPE, due)
        answered = await asyncio.to_thread(result_of, scraper)
    if answered < seconds * scrapes / 4:
        raise RuntimeError(f"only {answered} scrapes were answered")
    return percentile(waited, 0.99) * 1000


def scraper(url: str, rate: int, seconds: int) -> int:
    """Scrape so often each second, on one connection as Prometheus does."""
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
