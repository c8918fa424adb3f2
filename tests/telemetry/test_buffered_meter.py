"""The buffered meter yields the same metrics as OpenTelemetry's instruments."""

import gc
import logging
import math
import threading
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader

from evmon._telemetry import instruments as i
from evmon._telemetry.buffered_meter import CARDINALITY_LIMIT, FLUSH_AT, BufferedMeter
from evmon._telemetry.instrument import Kind
from evmon._telemetry.instrument_meter import InstrumentMeter
from evmon._telemetry.instruments import INSTRUMENTS

ROWS = [row for row in INSTRUMENTS if not row.kind.name.startswith("OBSERVABLE")]
IMPOSSIBLE = [math.nan, math.inf, -math.inf, -1.0, -0.0]

# Multiples of a power of two add up exactly, in whatever order.
exact = st.integers(-(2**30), 2**30).map(lambda n: n / 1024)


@st.composite
def measurements(draw):
    """An instrument, and pairs of attributes and value to record into it."""
    row = draw(st.sampled_from(ROWS))
    keys = st.sampled_from(row.attributes) if row.attributes else st.nothing()
    attributes = st.dictionaries(keys, st.sampled_from(["", "a", "b", "%s\n"]))
    value = st.one_of(
        exact,
        st.integers(-(10**6), 10**6),
        st.sampled_from([*row.boundaries, *IMPOSSIBLE]),
    )
    pairs = draw(st.lists(st.tuples(attributes, value), max_size=20))
    # Repeated so often, some are aggregated before the collection.
    return row, pairs * draw(st.sampled_from([1, FLUSH_AT // 10, FLUSH_AT]))


class SdkInstruments:
    """Records into OpenTelemetry's own instruments."""

    def __init__(self):
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.meter = InstrumentMeter(self.provider.get_meter("evmon"))

    def collect(self):
        data = self._reader.get_metrics_data()
        return data.resource_metrics[0].scope_metrics[0].metrics if data else []


@contextmanager
def plain_instruments():
    plain = SdkInstruments()
    try:
        yield plain
    finally:
        plain.provider.shutdown()


def comparable(metrics):
    """Metrics as plain values, without the start times of series."""
    return {
        (metric.name, metric.unit, metric.description, type(metric.data).__name__): {
            frozenset(point.attributes.items()): figures(point)
            for point in metric.data.data_points
        }
        for metric in metrics
    }


def figures(point):
    if not isinstance(point, HistogramDataPoint):
        return point.value
    return (
        point.count,
        # Boundaries are no multiples of a power of two: their order rounds the sum.
        pytest.approx(point.sum, rel=1e-12, abs=1e-12),
        tuple(point.bucket_counts),
        tuple(point.explicit_bounds),
        point.min,
        point.max,
    )


def record_all(meter, row, pairs):
    for attributes, value in pairs:
        meter.bind(row, attributes)(value)


def without_unknown(row, pairs):
    """The pairs, for gauges without NaN and infinity, which evmon alone removes."""
    if row.kind is not Kind.GAUGE:
        return pairs
    return [(a, v) for a, v in pairs if math.isfinite(v)]


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(measurements(), st.integers(0, 2 * FLUSH_AT))
@example((i.PROCESS_DURATION, [({}, b) for b in i.PROCESS_DURATION.boundaries]), 0)
@example((i.PROCESS_DURATION, [({}, v) for v in IMPOSSIBLE]), 0)
@example((i.CACHE_LOOKUPS, [({}, v) for v in [*IMPOSSIBLE, 3]]), 0)
@example((i.CACHE_ENTRIES, [({}, v) for v in [*IMPOSSIBLE, 3]]), 0)
def test_it_yields_the_same_metrics_as_the_sdk(measured_things, collect_after):
    row, pairs = measured_things
    pairs = without_unknown(row, pairs)
    logging.disable(logging.WARNING)
    bulk = BufferedMeter()
    try:
        with plain_instruments() as plain:
            for meter in (plain.meter, bulk):
                record_all(meter, row, pairs[:collect_after])
            # Collecting in between changes nothing.
            assert comparable(bulk.collect()) == comparable(plain.collect())
            for meter in (plain.meter, bulk):
                record_all(meter, row, pairs[collect_after:])
            assert comparable(bulk.collect()) == comparable(plain.collect())
    finally:
        logging.disable(logging.NOTSET)


@given(st.lists(st.floats(min_value=0, max_value=1e9), min_size=1, max_size=300))
def test_the_sum_of_any_floats_is_exact_but_for_rounding(values):
    bulk = BufferedMeter()
    record_all(bulk, i.PROCESS_DURATION, [({}, value) for value in values])
    ((point,),) = (metric.data.data_points for metric in bulk.collect())

    assert pytest.approx(math.fsum(values)) == point.sum
    assert (point.min, point.max) == (min(values), max(values))
    assert point.count == len(values)


def test_kinds_and_temporality_are_those_of_the_sdk():
    bulk = BufferedMeter()
    with plain_instruments() as plain:
        for row in ROWS:
            for meter in (plain.meter, bulk):
                meter.bind(row)(1)
        theirs = {metric.name: metric.data for metric in plain.collect()}
        ours = {metric.name: metric.data for metric in bulk.collect()}
    assert set(theirs) == set(ours)
    for name, data in theirs.items():
        shape = {k: v for k, v in vars(data).items() if k != "data_points"}
        assert shape == {k: v for k, v in vars(ours[name]).items() if k in shape}


def test_points_have_collection_and_start_times():
    bulk = BufferedMeter()
    bulk.bind(i.CACHE_ENTRIES)(1)
    bulk.bind(i.CONSUMER_READY)(1)
    counter, gauge = (m.data.data_points[0] for m in bulk.collect(2**62))

    assert (2**62, 2**62) == (counter.time_unix_nano, gauge.time_unix_nano)
    assert 0 < counter.start_time_unix_nano < 2**62
    assert gauge.start_time_unix_nano is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_gauge_without_a_finite_value_has_no_sample(value):
    bulk = BufferedMeter()
    gauge = bulk.bind(i.CONSUMER_LAG)
    assert [] == bulk.collect()
    gauge(3)
    gauge(value)
    assert [] == bulk.collect()
    gauge(4)
    assert 4 == bulk.collect()[0].data.data_points[0].value


def test_invalid_values_are_ignored_with_a_warning(caplog):
    bulk = BufferedMeter()
    record_all(bulk, i.PROCESS_DURATION, [({}, v) for v in (math.nan, -1.0, 2.0)])
    record_all(bulk, i.CACHE_LOOKUPS, [({}, v) for v in (-1, 2)])
    found = {m.name: figures(m.data.data_points[0]) for m in bulk.collect()}

    assert 1 == found[i.PROCESS_DURATION.name][0]
    assert 2 == found[i.CACHE_LOOKUPS.name]
    assert [
        f"ignored 2 invalid values of {i.PROCESS_DURATION.name}",
        f"ignored 1 invalid values of {i.CACHE_LOOKUPS.name}",
    ] == [record.message for record in caplog.records]


def test_the_same_attributes_are_the_same_series_in_any_order():
    bulk = BufferedMeter()
    attributes = {"evmon.retry.component": "handler", "error.type": "OSError"}
    backwards = dict(reversed(attributes.items()))

    assert bulk.bind(i.RETRY_ATTEMPTS, attributes) is bulk.bind(
        i.RETRY_ATTEMPTS, backwards
    )
    attributes["error.type"] = "changed"
    bulk.bind(i.RETRY_ATTEMPTS, backwards)(1)
    (point,) = bulk.collect()[0].data.data_points
    assert point.attributes == backwards


@pytest.mark.parametrize("row", [i.CACHE_LOOKUPS, i.CACHE_SCAN_DURATION], ids=str)
def test_series_beyond_the_cardinality_limit_go_into_the_overflow_series(row):
    pairs = [({"k": str(n)}, 1) for n in range(CARDINALITY_LIMIT + 5)]
    pairs += [({"k": "0"}, 1)]
    bulk = BufferedMeter()
    record_all(bulk, row, pairs)
    ((points),) = comparable(bulk.collect()).values()

    assert CARDINALITY_LIMIT + 1 == len(points)
    overflow = points[frozenset({("otel.metric.overflow", True)})]
    assert 5 == (overflow if row is i.CACHE_LOOKUPS else overflow[0])


@pytest.mark.parametrize("limit", [0, 3])
def test_a_failure_beyond_the_cardinality_limit_stays_a_failure_of_its_bus(limit):
    calls = [
        {
            i.HANDLER: str(n),
            i.BUS: "shop",
            **({i.ERROR_TYPE: "OSError"} if n % 2 else {}),
        }
        for n in range(2 * limit, 2 * limit + 10)
    ]
    bulk = BufferedMeter(limit)
    record_all(bulk, i.PROCESS_DURATION, [({"k": str(n)}, 1) for n in range(limit)])
    record_all(bulk, i.PROCESS_DURATION, [(call, 1) for call in calls])
    ((points),) = comparable(bulk.collect()).values()

    overflow = {("otel.metric.overflow", True), (i.BUS, "shop")}
    assert 5 == points[frozenset(overflow)][0]
    assert 5 == points[frozenset({*overflow, (i.ERROR_TYPE, "OSError")})][0]


def test_concurrent_recording_loses_nothing():
    bulk = BufferedMeter()
    threads, each = 8, 20_000
    bulk.bind(i.CACHE_LOOKUPS)
    ready = threading.Barrier(threads + 1)
    done = threading.Event()
    seen = []

    def work(n):
        count = bulk.bind(i.CACHE_LOOKUPS)
        duration = bulk.bind(i.PROCESS_DURATION)
        change = bulk.bind(i.CACHE_ENTRIES)
        ready.wait()
        for _ in range(each):
            count(1)
            duration(0.5 * n)
            change(1 if n % 2 else -1)

    def look():
        while not done.is_set():
            found = {m.name: figures(m.data.data_points[0]) for m in bulk.collect()}
            seen.append(found[i.CACHE_LOOKUPS.name])

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    looker = threading.Thread(target=look)
    for thread in (*workers, looker):
        thread.start()
    ready.wait()
    for thread in workers:
        thread.join()
    done.set()
    looker.join()

    found = {m.name: figures(m.data.data_points[0]) for m in bulk.collect()}
    assert found[i.CACHE_LOOKUPS.name] == threads * each
    assert 0 == found[i.CACHE_ENTRIES.name]
    count, total, buckets, _, low, high = found[i.PROCESS_DURATION.name]
    assert (count, sum(buckets)) == (threads * each, threads * each)
    assert (total, low, high) == (each * 0.5 * sum(range(threads)), 0.0, 3.5)
    assert seen == sorted(seen)


def test_a_finalizer_can_record_while_its_series_is_aggregated():
    bulk = BufferedMeter()
    record = bulk.bind(i.CACHE_LOOKUPS)

    class Finalized(float):
        def __del__(self):
            record(1)

    for _ in range(3 * FLUSH_AT):
        record(Finalized(1))
    gc.collect()
    bulk.collect()
    gc.collect()

    assert 6 * FLUSH_AT == bulk.collect()[0].data.data_points[0].value


def test_observable_instruments_cannot_be_bound():
    with pytest.raises(ValueError, match="is observed, not recorded"):
        BufferedMeter().bind(i.PROCESS_CPU_TIME)


def test_recording_many_values_equals_recording_each():
    values = [n / 10 for n in range(1000)]
    one, many = BufferedMeter(), BufferedMeter()
    for value in values:
        one.bind(i.EVENT_WAIT)(value)
    many.bind_many(i.EVENT_WAIT)(values)
    with plain_instruments() as plain:
        plain.meter.bind_many(i.EVENT_WAIT)(values)
        (theirs,) = plain.collect()

    (a,), (b,) = one.collect(), many.collect()
    points = [metric.data.data_points[0] for metric in (a, b, theirs)]
    assert 1 == len({(p.count, p.bucket_counts, p.min, p.max) for p in points})
    assert pytest.approx(points[1].sum) == points[0].sum


def test_only_a_histogram_accepts_many_values_at_once():
    with pytest.raises(TypeError, match="not a histogram"):
        BufferedMeter().bind_many(i.CACHE_LOOKUPS)
