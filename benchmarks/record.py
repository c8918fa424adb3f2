"""The candidate ways to record a duration, of which one was chosen."""

from collections.abc import Callable
from random import Random
from timeit import timeit

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, Histogram

from benchmarks.measure import Figure, Settings, alternate
from benchmarks.servers import PrivateRedis
from evmon._telemetry import instruments as i
from evmon._telemetry.buffered_meter import BufferedMeter
from evmon._telemetry.meter import InstrumentMeter

ROW = i.PROCESS_DURATION
NUMBER = 50_000


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Nanoseconds for each, adding up included, against the one that was chosen."""
    attributes = {name: f"value of {name}" for name in ROW.attributes}
    random = Random(1)
    values = [random.expovariate(10) for _ in range(NUMBER)]
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    family = Histogram(
        "duration",
        "x",
        [name.replace(".", "_") for name in attributes],
        registry=CollectorRegistry(),
        buckets=ROW.boundaries,
    )
    chosen = "list append and fold"
    candidates: dict[str, Callable[[float], None]] = {
        "plain instrument": InstrumentMeter(provider.get_meter("bench")).bind(
            ROW, attributes
        ),
        chosen: BufferedMeter().bind(ROW, attributes),
        "prometheus_client child": family.labels(*attributes.values()).observe,
    }

    def nanoseconds(record: Callable[[float], None]) -> float:
        def all_of_them() -> None:
            for value in values:
                record(value)

        return timeit(all_of_them, number=1) / NUMBER * 1e9

    results = alternate(
        {
            name: lambda record=record: nanoseconds(record)
            for name, record in candidates.items()
        },
        settings,
    )
    provider.shutdown()
    return [
        results.ratio("record", chosen, name, at_least=False)
        for name in candidates
        if name != chosen
    ]
