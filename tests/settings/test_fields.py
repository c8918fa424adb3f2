"""Fields of settings: parsing of variables, and errors with the allowed values."""

import pytest

from evmon import (
    Batching,
    ConfigError,
    ConsumerConfig,
    MetricsConfig,
    RetryPolicy,
    Thresholds,
)
from evmon._settings.environment import resolve
from evmon._settings.fields import environment_fields


@pytest.mark.parametrize(
    ("variable", "text", "read"),
    [
        ("EVMON_CONSUMER_BATCH_SIZE", "7", lambda c: c.batch_size == 7),
        ("EVMON_CONSUMER_HANDLER_TIMEOUT", " 2.5 ", lambda c: c.handler_timeout == 2.5),
        ("EVMON_CONSUMER_GROUP", "blue", lambda c: c.group == "blue"),
    ],
)
def test_a_variable_overrides_its_field(variable, text, read):
    assert read(
        resolve(ConsumerConfig, ConsumerConfig(batch_size=50), {variable: text})
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("TRUE", True), ("on", True), ("0", False), ("No", False)],
)
def test_a_boolean_can_be_written_in_several_ways(text, value):
    assert (
        value is resolve(Batching, Batching(), {"EVMON_BATCHING_ENABLED": text}).enabled
    )


@pytest.mark.parametrize(
    ("kind", "variable", "text", "allowed"),
    [
        (Batching, "EVMON_BATCHING_MAX_SIZE", "many", "a whole number, 1 or more"),
        (Batching, "EVMON_BATCHING_MAX_SIZE", "0", "a whole number, 1 or more"),
        (Batching, "EVMON_BATCHING_ENABLED", "maybe", "true or false"),
        (Batching, "EVMON_BATCHING_MAX_WAIT", "nan", "a number, 0 or more"),
        (
            MetricsConfig,
            "EVMON_METRICS_PORT",
            "99999",
            "a whole number from 0 to 65535",
        ),
        (
            Thresholds,
            "EVMON_THRESHOLDS_MEMORY_WARNING_MB",
            "256MB",
            "a number above 0, without a unit",
        ),
    ],
)
def test_an_invalid_variable_is_named_with_the_allowed_values(
    kind, variable, text, allowed
):
    with pytest.raises(ConfigError) as caught:
        resolve(kind, kind(), {variable: text})

    assert f"{variable}={text!r}: must be {allowed}" == str(caught.value)


def test_a_value_outside_the_choices_is_refused():
    with pytest.raises(ConfigError, match="'full' or 'none'"):
        resolve(RetryPolicy, RetryPolicy(), {"EVMON_RETRY_JITTER": "half"})


def test_without_variables_the_same_object_is_returned():
    config = Batching()

    assert config is resolve(Batching, config, {})


def test_fields_without_a_text_form_have_no_variable():
    names = {field.name for field in environment_fields(RetryPolicy)}

    assert "retry_on" not in names
    assert {"max_retries", "jitter"} <= names
