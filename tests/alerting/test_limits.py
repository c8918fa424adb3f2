"""Parsing of ``--set LIMIT=VALUE``."""

import pytest

from evmon import ConfigError, Thresholds
from evmon._alerting.limits import with_settings


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("memory_warning=256", "memory_warning_mb", 256),
        ("memory_warning=2GB", "memory_warning_mb", 2000),
        ("memory_warning_mb=1GiB", "memory_warning_mb", 1073.741824),
        ("processing_warning=2s", "processing_warning_ms", 2000),
        ("processing_warning=250ms", "processing_warning_ms", 250),
        ("window=10m", "window_seconds", 600),
        ("dead_letter_age_warning = 2d", "dead_letter_age_warning_seconds", 172_800),
        ("buffer_warning=90%", "buffer_warning_percent", 90),
        ("retries_warning=50", "retries_warning", 50),
    ],
)
def test_a_setting_changes_its_field(setting, field, value):
    assert value == getattr(with_settings([setting]), field)


def test_without_settings_the_limits_are_the_defaults():
    assert Thresholds() == with_settings([])


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("memory=5", "must be one of window_seconds"),
        ("memory_warning", "must be a number, with or without b, kb, mb"),
        ("memory_warning=5s", "must be a number, with or without b, kb, mb"),
        ("retries_warning=many", "must be a number"),
        ("retries_warning=1.2.3", "must be a number"),
        ("retries_warning=2.7", "must be a whole number"),
        ("memory_warning=0", "must be a number above 0"),
        ("buffer_warning=101%", "must be a number from 0 to 100"),
    ],
)
def test_a_wrong_setting_is_an_error_that_states_what_is_allowed(setting, hint):
    with pytest.raises(ConfigError, match=hint) as caught:
        with_settings([setting])

    assert "\n" not in str(caught.value)
