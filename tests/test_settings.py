"""A wrong setting is one line: its name, its value, what is allowed."""

import dataclasses

import pytest

from evmon import (
    Batching,
    ConfigError,
    ConsumerConfig,
    DiscoveryConfig,
    EventBus,
    EventLimits,
    MetricsConfig,
    MonitorConfig,
    RedisConfig,
    RetryPolicy,
    Thresholds,
)
from evmon._environment import CONFIGS, environment, resolve, warn_of_slips
from evmon._settings import environment_fields


@pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.__name__)
def test_every_setting_says_what_it_means_and_is_frozen(kind):
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
def test_nonsense_is_refused_at_construction(kind, setting, value, allowed):
    with pytest.raises(ConfigError) as caught:
        kind(**{setting: value})

    assert f"{kind.__name__}.{setting}={value!r}: must be {allowed}" == str(
        caught.value
    )


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
def test_a_switch_may_be_said_in_several_words(text, value):
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
def test_a_wrong_variable_is_named(kind, variable, text, allowed):
    with pytest.raises(ConfigError) as caught:
        resolve(kind, kind(), {variable: text})

    assert f"{variable}={text!r}: must be {allowed}" == str(caught.value)


def test_a_word_that_is_none_of_the_choices_is_refused():
    with pytest.raises(ConfigError, match="'full' or 'none'"):
        resolve(RetryPolicy, RetryPolicy(), {"EVMON_RETRY_JITTER": "half"})


def test_an_untouched_setting_is_returned_as_it_is():
    config = Batching()

    assert config is resolve(Batching, config, {})


def test_what_text_cannot_say_is_no_variable():
    names = {field.name for field in environment_fields(RetryPolicy)}

    assert "retry_on" not in names
    assert {"max_retries", "jitter"} <= names


def test_the_standard_variables_of_opentelemetry_are_read_under_our_names():
    environ = environment(
        {
            "OTEL_EXPORTER_PROMETHEUS_PORT": "9999",
            "OTEL_EXPORTER_PROMETHEUS_HOST": "::1",
        }
    )
    config = resolve(MetricsConfig, MetricsConfig(), environ)

    assert (config.host, config.port) == ("::1", 9999)


def test_our_variable_wins_over_the_standard_one():
    environ = environment(
        {"OTEL_EXPORTER_PROMETHEUS_PORT": "9999", "EVMON_METRICS_PORT": "1234"}
    )

    assert resolve(MetricsConfig, MetricsConfig(), environ).port == 1234


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("service", "", "EventBus.service='': must be a printable name without spaces"),
        ("transport", None, "EventBus.transport=None: must be a non-empty string"),
        ("auto_discovery", "no", "EventBus.auto_discovery='no': must be true or false"),
        (
            "consumer",
            {"group": "x"},
            "consumer={'group': 'x'}: must be a ConsumerConfig(...)",
        ),
        ("metrics", 9000, "metrics=9000: must be a MetricsConfig(...)"),
        ("retry", 3, "retry=3: must be a RetryPolicy(...)"),
    ],
)
def test_a_bus_refuses_what_is_no_setting(name, value, message):
    with pytest.raises(ConfigError) as caught:
        EventBus(**{name: value})

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"memory_warning_mb": 512, "memory_critical_mb": 400},
            "Thresholds.memory_warning_mb=512: must be at most memory_critical_mb (400)",
        ),
        (
            {
                "cache_hit_rate_warning_percent": 10,
                "cache_hit_rate_critical_percent": 15,
            },
            "must be at least cache_hit_rate_critical_percent (15)",
        ),
    ],
)
def test_a_warning_beyond_the_critical_limit_is_refused(limits, message):
    with pytest.raises(ConfigError) as caught:
        Thresholds(**limits)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("warning", "value", "critical", "moved"),
    [
        ("memory_warning_mb", 512, "memory_critical_mb", 2560),
        ("memory_warning_mb", 256, "memory_critical_mb", 500),
        ("cache_hit_rate_warning_percent", 10, "cache_hit_rate_critical_percent", 4),
        ("handler_errors_warning_percent", 60, "handler_errors_critical_percent", 100),
    ],
)
def test_a_critical_limit_that_is_not_set_moves_with_its_warning(
    warning, value, critical, moved
):
    assert getattr(Thresholds(**{warning: value}), critical) == moved
    variable = {f"EVMON_THRESHOLDS_{warning.upper()}": str(value)}
    assert getattr(resolve(Thresholds, Thresholds(), variable), critical) == moved


def test_a_slip_in_the_name_of_a_variable_is_told(caplog):
    warn_of_slips(
        {
            "EVMON_TRANSPROT": "redis://x",
            "EVMON_CONSUMER_CONCURRENCY": "5",
            "EVMON_METRICS_PORT": "1",
        }
    )

    first, second = caplog.messages
    assert first.endswith("; did you mean EVMON_CONSUMER_MAX_CONCURRENCY?")
    assert second == "unknown variable EVMON_TRANSPROT; did you mean EVMON_TRANSPORT?"


def test_what_kubernetes_sets_for_services_of_our_name_is_no_slip(caplog):
    warn_of_slips(
        {
            f"{service}_{name}": "tcp://10.0.0.1:9464"
            for service in ("EVMON", "EVMON_REDIS", "EVMON_METRICS")
            for name in ("SERVICE_HOST", "SERVICE_PORT", "PORT_9464_TCP_ADDR")
        }
    )

    assert caplog.messages == []


def test_a_limit_that_somebody_set_does_not_move():
    with pytest.raises(ConfigError, match="memory_critical_mb"):
        Thresholds(memory_warning_mb=600, memory_critical_mb=500)


def test_a_limit_that_moved_moves_again_with_the_environment():
    code = Thresholds(memory_warning_mb=1000)
    variable = {"EVMON_THRESHOLDS_MEMORY_WARNING_MB": "8000"}

    assert code.memory_critical_mb == 5000
    assert resolve(Thresholds, code, variable).memory_critical_mb == 40_000
    back = {"EVMON_THRESHOLDS_MEMORY_WARNING_MB": "50"}
    assert resolve(Thresholds, code, back).memory_critical_mb == 500


@pytest.mark.parametrize("streams", ["mail", ("a b",), (1,), ["a"]])
def test_names_of_streams_are_a_tuple_of_names(streams):
    with pytest.raises(ConfigError, match="a tuple of names"):
        RedisConfig(streams=streams, stream_for=lambda _: "mail")


def test_a_variable_of_opentelemetry_is_named_as_it_was_set():
    environ = environment({"OTEL_EXPORTER_PROMETHEUS_PORT": "abc"})
    with pytest.raises(ConfigError, match=r"^OTEL_EXPORTER_PROMETHEUS_PORT='abc'"):
        resolve(MetricsConfig, MetricsConfig(), environ)


def test_an_empty_variable_of_opentelemetry_is_unset():
    environ = environment({"OTEL_EXPORTER_PROMETHEUS_PORT": ""})

    assert MetricsConfig() == resolve(MetricsConfig, MetricsConfig(), environ)
