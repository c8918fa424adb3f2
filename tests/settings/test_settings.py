"""One list of settings: fields, variables and tables follow from it."""

import inspect

import pytest

from evmon import ConfigError, EventBus, MetricsConfig
from evmon._settings.environment import resolve
from evmon._settings.settings import CONFIGS, Settings


def test_every_field_is_an_argument_of_the_bus():
    arguments = set(inspect.signature(EventBus).parameters) - {"clock"}

    assert set(inspect.signature(Settings).parameters) == arguments


def test_prefixes_are_the_names_of_the_fields():
    assert "EVMON_DISCOVERY" == CONFIGS[type(Settings().discovery)]
    assert "EVMON_METRICS" == CONFIGS[MetricsConfig]
    assert 10 == len(CONFIGS)


@pytest.mark.parametrize(
    ("environ", "metrics"),
    [
        ({}, None),
        ({"EVMON_METRICS_CACHE_SECONDS": "2"}, None),
        ({"EVMON_METRICS_PORT": "1"}, MetricsConfig(port=1)),
        ({"EVMON_METRICS_HOST": "::"}, MetricsConfig(host="::")),
    ],
)
def test_metrics_are_none_unless_a_variable_sets_host_or_port(environ, metrics):
    assert metrics == resolve(Settings(), environ).metrics


@pytest.mark.parametrize("name", ["discovery", "redis", "thresholds"])
def test_none_is_refused_where_settings_are_required(name):
    with pytest.raises(ConfigError, match=rf"EventBus.{name}=None: must be a \w+"):
        EventBus(**{name: None})


def test_settings_that_no_variable_changes_are_returned_unchanged():
    settings = Settings()

    assert settings is resolve(settings, {"EVMON_TYPO": "1"})
