"""The page of metrics: families and series that two libraries measure."""

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from evmon._http.negotiation import TEXT, Format, preferred
from evmon._http.page import Page
from evmon._telemetry.text_format import RenderedFamily

OPENMETRICS = Format("application/openmetrics-text", openmetrics=True)


def gauge(name, *labels, value=1):
    family = GaugeMetricFamily(name, "text", labels=["lib", "part"])
    for pair in labels:
        family.add_metric(pair, value)
    return family


def page(*families, written=OPENMETRICS):
    problems = []
    whole = Page(written, problems.append)
    for family in families:
        whole.add(family)
    text = whole.text()
    if written.openmetrics:
        list(text_string_to_metric_families(text))  # the strict parser
    return [line for line in text.splitlines() if line[0] != "#"], problems


RENDERED = RenderedFamily("x", "gauge", "", "text", 'x{lib="evmon"} 1.0\n')


@pytest.mark.parametrize("written", [TEXT, OPENMETRICS], ids=["text", "openmetrics"])
def test_families_of_one_name_become_one(written):
    lines, problems = page(RENDERED, gauge("x", ("a", "")), written=written)

    assert ['x{lib="evmon"} 1.0', 'x{lib="a",part=""} 1.0'] == lines
    assert [] == problems


def test_a_series_that_two_instruments_have_is_kept_once_and_reported():
    lines, problems = page(RENDERED, gauge("x", ("evmon", ""), ("a", ""), value=7))

    assert ['x{lib="evmon"} 1.0', 'x{lib="a",part=""} 7.0'] == lines
    assert [
        'left a series out of /metrics that two instruments have: x{lib="evmon"}'
    ] == problems


def test_a_family_of_another_type_is_left_out_and_reported():
    lines, problems = page(CounterMetricFamily("x", "text", value=1), gauge("x"))

    assert ["x_total 1.0"] == lines
    assert ["left a gauge out of /metrics: x is also a counter"] == problems


def test_a_family_that_has_the_name_of_a_sample_is_left_out_and_reported():
    lines, problems = page(
        CounterMetricFamily("x", "text", value=1), gauge("x_total", ("a", "b"))
    )

    assert ["x_total 1.0"] == lines
    assert ["left x_total out of /metrics: x_total is also of x"] == problems


def test_a_family_that_cannot_be_encoded_does_not_hide_the_others():
    broken = Metric("broken", "text", "gauge")
    broken.add_sample("broken", {"a": "b"}, "not a number")
    lines, problems = page(broken, RENDERED)

    assert ['x{lib="evmon"} 1.0'] == lines
    assert "cannot render broken on /metrics: ValueError" in problems[0]


def test_names_are_escaped_as_the_client_asks():
    dots = preferred("text/plain; version=1.0.0; escaping=dots")
    lines, _ = page(
        RenderedFamily("evmon_x", "gauge", "", "text", 'evmon_x{a_b="c"} 1.0\n'),
        written=dots,
    )

    assert ['evmon__x{a__b="c"} 1.0'] == lines
