"""A critical limit stays beyond its warning limit."""

import pytest

from evmon import ConfigError, Thresholds
from evmon._settings.environment import resolve


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
def test_a_warning_limit_beyond_the_critical_limit_is_refused(limits, message):
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
def test_a_critical_limit_at_its_default_moves_with_its_warning_limit(
    warning, value, critical, moved
):
    assert getattr(Thresholds(**{warning: value}), critical) == moved
    variable = {f"EVMON_THRESHOLDS_{warning.upper()}": str(value)}
    assert getattr(resolve(Thresholds(), variable), critical) == moved


def test_a_critical_limit_other_than_its_default_does_not_move():
    with pytest.raises(ConfigError, match="memory_critical_mb"):
        Thresholds(memory_warning_mb=600, memory_critical_mb=550)


def test_a_moved_critical_limit_moves_again_with_the_environment():
    code = Thresholds(memory_warning_mb=1000)
    variable = {"EVMON_THRESHOLDS_MEMORY_WARNING_MB": "8000"}

    assert 5000 == code.memory_critical_mb
    assert 40_000 == resolve(code, variable).memory_critical_mb
    back = {"EVMON_THRESHOLDS_MEMORY_WARNING_MB": "50"}
    assert 500 == resolve(code, back).memory_critical_mb
