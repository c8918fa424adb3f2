"""Ways to record a duration, compared with the one that evmon uses."""

from collections.abc import Callable
from random import Random
from timeit import timeit

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, Histogram

from benchmarks.figures import Figure, Settings, alternate
from benchmarks.redis_server import PrivateRedis
from evmon._telemetry import instruments as i
from evmon._telemetry.buffered_meter import BufferedMeter
from evmon._telemetry.instrument_meter import InstrumentMeter

INSTRUMENT = i.PROCESS_DURATION
COUNT = 50_000


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Compare nanoseconds per measurement, aggregation included."""
    attributes = {name: f"value of {name}" for name in INSTRUMENT.attributes}
    rng = Random(1)
    values = [rng.expovariate(10) for _ in range(COUNT)]
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    histogram = Histogram(
        "duration",
        "x",
        [name.replace(".", "_") for name in attributes],
        registry=CollectorRegistry(),
        buckets=INSTRUMENT.boundaries,
    )
    chosen = "list append and aggregate"
    candidates: dict[str, Callable[[float], None]] = {
        "plain instrument": InstrumentMeter(provider.get_meter("bench")).bind(
            INSTRUMENT, attributes
        ),
        chosen: BufferedMeter().bind(INSTRUMENT, attributes),
        "prometheus_client child": histogram.labels(*attributes.values()).observe,
    }

    def nanoseconds(record: Callable[[float], None]) -> float:
        def record_all() -> None:
            for value in values:
                record(value)

        return timeit(record_all, number=1) / COUNT * 1e9

    results = alternate(
        "record",
        {
            name: lambda record=record: nanoseconds(record)
            for name, record in candidates.items()
        },
        settings,
    )
    provider.shutdown()
    return [
        results.ratio(chosen, name, at_least=False)
        for name in candidates
        if name != chosen
    ]
