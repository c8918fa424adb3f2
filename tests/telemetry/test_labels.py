"""Whatever comes in, a label is printable, short, and one of few."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from evmon._telemetry.labels import OTHER, UNKNOWN, ErrorTypes, label


@given(st.text(st.characters()))
def test_any_text_becomes_a_label_that_can_be_scraped(text):
    value = label(text)

    registry = CollectorRegistry()
    Counter("x", "x", ["l"], registry=registry).labels(value).inc()
    family, *_ = text_string_to_metric_families(generate_latest(registry).decode())
    assert value == family.samples[0].labels["l"]
    assert 0 < len(value) <= 128
    assert value.isprintable()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("order.created", "order.created"),
        ("größe", "größe"),
        ("a\nb", "a?b"),
        ("\ud800", "?"),
        ("x" * 200, "x" * 128),
        ("", UNKNOWN),
    ],
)
def test_plain_text_stays_as_it_is_and_the_rest_is_replaced(text, value):
    assert value == label(text)


def test_error_types_are_class_names():
    assert "ValueError" == ErrorTypes().of(ValueError("secret"))


def test_too_many_error_types_are_one():
    types = ErrorTypes(limit=3)
    names = [types.of(type(f"E{n}", (Exception,), {})()) for n in range(1000)]

    assert ["E0", "E1", "E2"] == names[:3]
    assert {OTHER} == set(names[3:])
    assert 3 >= len(types._names)


def test_classes_made_anew_for_each_error_share_a_name():
    types = ErrorTypes(limit=3)
    names = {types.of(type("Made", (Exception,), {})()) for _ in range(1000)}

    assert {"Made"} == names
    assert 3 >= len(types._names)
