"""Classes of settings: documented, frozen and validated."""

import dataclasses

import pytest

from evmon import (
    Batching,
    ConfigError,
    ConsumerConfig,
    DiscoveryConfig,
    EventLimits,
    MetricsConfig,
    MonitorConfig,
    RedisConfig,
    Thresholds,
)
from evmon._settings.environment import CONFIGS


@pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.__name__)
def test_every_setting_is_documented_and_frozen(kind):
    value = kind()
    for field in dataclasses.fields(kind):
        assert field.metadata["help"].endswith(".")
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)


@pytest.mark.parametrize(
    ("kind", "setting", "value", "allowed"),
    [
        (DiscoveryConfig, "batch_size", 0, "a whole number, 1 or more"),
        (DiscoveryConfig, "batch_size", "ten", "a whole number, 1 or more"),
        (DiscoveryConfig, "cache_ttl_seconds", 0, "a number above 0"),
        (Batching, "enabled", "yes", "true or false"),
        (Batching, "max_wait", -1, "a number, 0 or more"),
        (ConsumerConfig, "handler_timeout", 0, "a number above 0"),
        (MetricsConfig, "port", 65536, "a whole number from 0 to 65535"),
        (MetricsConfig, "host", "", "a non-empty string"),
        (MonitorConfig, "check_interval_seconds", None, "a number above 0"),
        (Thresholds, "cache_hit_rate_warning_percent", 101, "a number from 0 to 100"),
        (EventLimits, "max_depth", 1.5, "a whole number, 1 or more"),
    ],
)
def test_invalid_values_are_refused_by_the_constructor(kind, setting, value, allowed):
    with pytest.raises(ConfigError) as caught:
        kind(**{setting: value})

    assert f"{kind.__name__}.{setting}={value!r}: must be {allowed}" == str(
        caught.value
    )


@pytest.mark.parametrize("streams", ["mail", ("a b",), (1,), ["a"]])
def test_streams_must_be_a_tuple_of_names(streams):
    with pytest.raises(ConfigError, match="a tuple of names"):
        RedisConfig(streams=streams, stream_for=lambda _: "mail")
