"""Variables override the code; unknown names close to a known one are logged."""

import pytest

from evmon import ConfigError, EventBus, MetricsConfig
from evmon._settings.environment import environment, resolve, warn_of_slips


def test_the_environment_overrides_the_code(monkeypatch):
    monkeypatch.setenv("EVMON_SERVICE", "other")
    monkeypatch.setenv("EVMON_RETRY_MAX_RETRIES", "9")
    monkeypatch.setenv("EVMON_CONSUMER_BATCH_SIZE", "7")
    monkeypatch.setenv("EVMON_THRESHOLDS_MEMORY_WARNING_MB", "1.5")
    monkeypatch.setenv("EVMON_AUTO_DISCOVERY", "off")

    settings = EventBus(service="shop")._settings

    assert "other" == settings.service
    assert 9 == settings.retry.max_retries
    assert 7 == settings.consumer.batch_size
    assert 1.5 == settings.thresholds.memory_warning_mb
    assert settings.auto_discovery is False


def test_standard_opentelemetry_variables_are_read():
    environ = environment(
        {
            "OTEL_EXPORTER_PROMETHEUS_PORT": "9999",
            "OTEL_EXPORTER_PROMETHEUS_HOST": "::1",
        }
    )
    config = resolve(MetricsConfig(), environ)

    assert ("::1", 9999) == (config.host, config.port)


def test_an_evmon_variable_takes_precedence_over_the_standard_one():
    environ = environment(
        {"OTEL_EXPORTER_PROMETHEUS_PORT": "9999", "EVMON_METRICS_PORT": "1234"}
    )

    assert 1234 == resolve(MetricsConfig(), environ).port


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
def test_an_argument_of_the_wrong_type_is_refused(name, value, message):
    with pytest.raises(ConfigError) as caught:
        EventBus(**{name: value})

    assert message in str(caught.value)


def test_a_typo_in_a_variable_name_is_logged(caplog):
    warn_of_slips(
        {
            "EVMON_TRANSPROT": "redis://x",
            "EVMON_CONSUMER_CONCURRENCY": "5",
            "EVMON_METRICS_PORT": "1",
        }
    )

    first, second = caplog.messages
    assert first.endswith("; did you mean EVMON_CONSUMER_MAX_CONCURRENCY?")
    assert "unknown variable EVMON_TRANSPROT; did you mean EVMON_TRANSPORT?" == second


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        (
            "EVMON_BATCHING_ENABLED",
            "EVMON_BATCHING_MAX_SIZE=1 sends events one by one",
        ),
        (
            "EVMON_CONSUMER_MAX_WAIT",
            "use EVMON_CONSUMER_RETRY_CHECK_INTERVAL",
        ),
    ],
)
def test_a_variable_of_an_earlier_version_is_logged_with_its_replacement(
    name, instead, caplog
):
    warn_of_slips({name: "1"})

    assert [f"variable {name} is no longer read; {instead}"] == caplog.messages


def test_variables_that_kubernetes_sets_for_services_are_no_typos(caplog):
    warn_of_slips(
        {
            f"{service}_{name}": "tcp://10.0.0.1:9464"
            for service in ("EVMON", "EVMON_REDIS", "EVMON_METRICS")
            for name in ("SERVICE_HOST", "SERVICE_PORT", "PORT_9464_TCP_ADDR")
        }
    )

    assert [] == caplog.messages


def test_an_error_names_the_opentelemetry_variable_that_was_set():
    environ = environment({"OTEL_EXPORTER_PROMETHEUS_PORT": "abc"})
    with pytest.raises(ConfigError, match=r"^OTEL_EXPORTER_PROMETHEUS_PORT='abc'"):
        resolve(MetricsConfig(), environ)


def test_an_empty_opentelemetry_variable_counts_as_unset():
    environ = environment({"OTEL_EXPORTER_PROMETHEUS_PORT": ""})

    assert MetricsConfig() == resolve(MetricsConfig(), environ)
