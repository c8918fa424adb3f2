"""The rendered text equals that of the exporter and prometheus_client."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from evmon._telemetry import instruments as i
from evmon._telemetry.buffered_meter import BufferedMeter
from evmon._telemetry.instruments import INSTRUMENTS
from evmon._telemetry.text_format import TextRenderer, is_renderable

ROWS = [row for row in INSTRUMENTS if not row.kind.name.startswith("OBSERVABLE")]
CUMULATIVE = AggregationTemporality.CUMULATIVE

odd_text = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(['"', "\\", "\n", "\\n", "%", "%s", "%%", "{}", 'a,b="c"', ""]),
)


def exported(metrics):
    """The text of the exporter and prometheus_client, in both formats."""
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(
        disable_target_info=True, registry=registry, scope_info_enabled=False
    )
    scope = ScopeMetrics(InstrumentationScope("evmon"), metrics, "")
    data = MetricsData([ResourceMetrics(Resource({}), [scope], "")])
    texts = []
    for encode in (generate_latest, openmetrics):
        reader._receive_metrics(data)
        texts.append(encode(registry).decode())
    return texts


def rendered(metrics, renderer=None):
    families = (renderer or TextRenderer()).render(metrics)
    plain = "".join(family.text(openmetrics=False) for family in families)
    return [plain, "".join(f.text(openmetrics=True) for f in families) + "# EOF\n"]


@st.composite
def recordings(draw):
    rows = draw(st.lists(st.sampled_from(ROWS), unique=True, max_size=4))
    found = []
    for row in rows:
        keys = st.sampled_from(row.attributes) if row.attributes else st.nothing()
        attributes = st.dictionaries(keys, odd_text)
        value = st.one_of(
            st.integers(0, 10**9),
            st.floats(min_value=0, allow_infinity=False),
            st.sampled_from([0.0, 1e-7, 1e6, 123456789.0, 1e21]),
        )
        pairs = st.lists(st.tuples(attributes, value), min_size=1, max_size=5)
        found += [(row, a, v) for a, v in draw(pairs)]
    return found


@settings(deadline=None, max_examples=150)
@given(recordings(), recordings())
@example([(i.CACHE_LOOKUPS, {"evmon.cache.result": '100%\n"\\'}, 2)], [])
@example(
    [(i.RETRY_ATTEMPTS, {"error.type": "a"}, 1)],
    [(i.RETRY_ATTEMPTS, {"error.type": "a", "evmon.retry.component": "b"}, 1)],
)
def test_the_text_equals_that_of_the_exporter(first, then):
    meter = BufferedMeter()
    renderer = TextRenderer()
    # More than once, because templates are cached by the first rendering.
    for recorded in (first, then, []):
        for row, attributes, value in recorded:
            meter.bind(row, attributes)(value)
        metrics = meter.collect()
        assert rendered(metrics, renderer) == exported(metrics)


@pytest.mark.parametrize("count", [0, 999_999, 1_000_000, 10**7 + 1, 2**60])
def test_large_counts_have_the_format_of_go(count):
    row = i.PROCESS_DURATION
    counts = (count, *[1] * len(row.boundaries))
    point = HistogramDataPoint(
        {}, 0, 1, sum(counts), 1.5e300, counts, row.boundaries, 0.0, 1.0
    )
    metric = Metric(row.name, row.description, row.unit, Histogram([point], CUMULATIVE))

    assert rendered([metric]) == exported([metric])


@pytest.mark.parametrize("value", [True, 7, 1.5, ("a", "b"), "a"])
def test_attributes_of_other_types_are_rendered(value):
    point = NumberDataPoint({"otel.metric.overflow": value}, 0, 1, 3)
    row = i.CACHE_LOOKUPS
    data = Sum([point], CUMULATIVE, is_monotonic=True)
    metric = Metric(row.name, row.description, row.unit, data)

    assert rendered([metric]) == exported([metric])


@pytest.mark.parametrize("description", ['a "quoted" \\ one\nin two lines', ""])
def test_descriptions_are_escaped_for_each_format(description):
    point = NumberDataPoint({}, 0, 1, 3)
    metric = Metric(i.CONSUMER_READY.name, description, "", Gauge([point]))

    assert rendered([metric]) == exported([metric])


@pytest.mark.parametrize("value", [math.inf, -math.inf, -0.0, -1.5e-9, 1e16])
def test_infinite_negative_and_large_numbers_are_rendered(value):
    point = NumberDataPoint({}, 0, 1, value)
    metric = Metric(i.CONSUMER_LAG.name, "x", "", Gauge([point]))

    assert rendered([metric]) == exported([metric])


def test_a_gauge_of_nan_has_no_sample():
    point = NumberDataPoint({}, 0, 1, math.nan)
    (family,) = TextRenderer().render(
        [Metric(i.CONSUMER_LAG.name, "x", "", Gauge([point]))]
    )

    assert "" == family.lines


def test_templates_of_vanished_series_are_removed():
    row = i.CACHE_LOOKUPS
    renderer = TextRenderer()
    for n in range(5):
        point = NumberDataPoint({"k": str(n)}, 0, 1, n)
        data = Sum([point], CUMULATIVE, is_monotonic=True)
        renderer.render([Metric(row.name, row.description, row.unit, data)])

    assert 1 == len(renderer._templates[row.name]._known)


def named(name, data):
    return Metric(name, "x", "", data)


DELTA = AggregationTemporality.DELTA


@pytest.mark.parametrize(
    ("metric", "ours"),
    [
        (named("foreign", Gauge([])), False),
        (named(i.CONSUMER_LAG.name, Gauge([])), True),
        (named(i.CONSUMER_LAG.name, Histogram([], CUMULATIVE)), False),
        (named(i.CACHE_LOOKUPS.name, Sum([], CUMULATIVE, is_monotonic=True)), True),
        (named(i.CACHE_LOOKUPS.name, Sum([], CUMULATIVE, is_monotonic=False)), False),
        (named(i.CACHE_LOOKUPS.name, Sum([], DELTA, is_monotonic=True)), False),
        (named(i.CACHE_ENTRIES.name, Sum([], CUMULATIVE, is_monotonic=False)), True),
        (named(i.CACHE_ENTRIES.name, Gauge([])), True),
        (named(i.RETRY_DELAY.name, Histogram([], CUMULATIVE)), True),
        (named(i.RETRY_DELAY.name, Gauge([])), False),
    ],
)
def test_only_metrics_that_match_the_table_of_instruments_are_ours(metric, ours):
    assert is_renderable(metric) is ours
