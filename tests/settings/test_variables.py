"""Variables override fields; an invalid one is reported in one line."""

import pytest

from evmon import (
    Batching,
    ConfigError,
    ConsumerConfig,
    MetricsConfig,
    RedisConfig,
    RetryPolicy,
    Thresholds,
)
from evmon._settings.environment import resolve
from evmon._settings.settings import PREFIX, Settings
from evmon._settings.variables import variables


@pytest.mark.parametrize(
    ("variable", "text", "read"),
    [
        ("EVMON_CONSUMER_BATCH_SIZE", "7", lambda c: c.batch_size == 7),
        ("EVMON_CONSUMER_HANDLER_TIMEOUT", " 2.5 ", lambda c: c.handler_timeout == 2.5),
        ("EVMON_CONSUMER_GROUP", "blue", lambda c: c.group == "blue"),
    ],
)
def test_a_variable_overrides_its_field(variable, text, read):
    assert read(resolve(ConsumerConfig(batch_size=50), {variable: text}))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("TRUE", True), ("on", True), ("0", False), ("No", False)],
)
def test_a_boolean_may_be_written_in_several_ways(text, value):
    variable = {"EVMON_CONSUMER_IGNORE_UNKNOWN": text}
    assert value is resolve(ConsumerConfig(), variable).ignore_unknown


@pytest.mark.parametrize(
    ("kind", "variable", "text", "allowed"),
    [
        (Batching, "EVMON_BATCHING_MAX_SIZE", "many", "a whole number, 1 or more"),
        (Batching, "EVMON_BATCHING_MAX_SIZE", "0", "a whole number, 1 or more"),
        (ConsumerConfig, "EVMON_CONSUMER_IGNORE_UNKNOWN", "maybe", "true or false"),
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
def test_an_invalid_variable_is_refused_with_the_allowed_values(
    kind, variable, text, allowed
):
    with pytest.raises(ConfigError) as caught:
        resolve(kind(), {variable: text})

    assert f"{variable}={text!r}: must be {allowed}" == str(caught.value)


def test_a_secret_is_read_as_it_is_and_other_text_without_spaces_around_it():
    environ = {"EVMON_REDIS_PASSWORD": " open sesame ", "EVMON_REDIS_USERNAME": " me "}
    config = resolve(RedisConfig(), environ)

    assert (" open sesame ", "me") == (config.password, config.username)


def test_a_secret_of_the_wrong_type_is_not_shown():
    with pytest.raises(ConfigError) as caught:
        RedisConfig(password=b"sesame")

    assert "RedisConfig.password: must be a string" == str(caught.value)


def test_a_value_that_is_not_a_choice_is_refused():
    with pytest.raises(ConfigError, match="'full' or 'none'"):
        resolve(RetryPolicy(), {"EVMON_RETRY_JITTER": "half"})


def test_settings_without_variables_are_returned_unchanged():
    config = Batching()

    assert config is resolve(config, {})


def test_variables_are_those_of_fields_and_of_settings_in_sections():
    names = set(variables(Settings, PREFIX))

    assert {"EVMON_SERVICE", "EVMON_REDIS_LEASE", "EVMON_METRICS_PORT"} <= names
    assert not {"EVMON_RETRY_RETRY_ON", "EVMON_REDIS"} & names
