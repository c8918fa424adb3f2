"""Label values are printable, short and of limited number."""

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from evmon._telemetry.labels import OTHER, UNKNOWN, ErrorTypes, label
from evmon._transports.redis.errors import BrokenError


@given(st.text(st.characters()))
def test_any_text_becomes_a_valid_label(text):
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
def test_printable_text_is_kept_and_other_characters_are_replaced(text, value):
    assert value == label(text)


def test_error_types_are_class_names():
    assert "ValueError" == ErrorTypes().of(ValueError("secret"))


def test_error_types_beyond_the_limit_share_one_label():
    types = ErrorTypes(limit=3)
    names = [types.of(type(f"E{n}", (Exception,), {})()) for n in range(1000)]

    assert ["E0", "E1", "E2"] == names[:3]
    assert {OTHER} == set(names[3:])
    assert 3 >= len(types._names)


def test_classes_of_the_same_name_share_a_label():
    types = ErrorTypes(limit=3)
    names = {types.of(type("Made", (Exception,), {})()) for _ in range(1000)}

    assert {"Made"} == names
    assert 3 >= len(types._names)


def test_an_error_with_the_name_of_another_is_qualified():
    types = ErrorTypes()

    assert "TimeoutError" == types.of(TimeoutError())
    assert "redis.exceptions.TimeoutError" == types.of(redis.TimeoutError())
    assert "redis.exceptions.TimeoutError" == ErrorTypes().of(redis.TimeoutError())
    assert "RedisError" == types.of(redis.RedisError())
    other = type("RedisError", (Exception,), {"__module__": "shop"})
    assert "shop.RedisError" == types.of(other())


def test_a_private_error_of_evmon_is_counted_as_the_public_one():
    assert "TransportError" == ErrorTypes().of(BrokenError("x"))
