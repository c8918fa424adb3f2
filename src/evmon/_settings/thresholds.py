"""The limits, defined only here.

Warnings, alert rules, dashboards and the tables of the runbooks are all generated from
`Thresholds`; nothing else in the package repeats a number.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from evmon._settings.fields import (
    above,
    at_least,
    between,
    documented,
    setting,
    validate,
)
from evmon.errors import ConfigError

BYTES_PER_MB = 1_000_000
"""MB is 10^6 bytes, as in the International System of Units."""


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Limits of a healthy service.

    Rates, averages and counts cover the last window. A critical limit at its default
    moves in proportion if its warning limit would pass it.

    Example:
        >>> Thresholds(memory_warning_mb=256).memory_warning_mb
        256
    """

    window_seconds: float = setting(300.0, above(0), "Length of the window in seconds.")
    cache_hit_rate_warning_percent: float = setting(
        50.0, between(0, 100), "Metadata cache hit rate below which to warn."
    )
    cache_hit_rate_critical_percent: float = setting(
        20.0,
        between(0, 100),
        "Metadata cache hit rate below which it is critical.",
    )
    cache_min_lookups: int = setting(
        20, at_least(1), "Minimum lookups in the window for the hit rate to be judged."
    )
    memory_warning_mb: float = setting(
        100.0, above(0), "Resident memory of the process above which to warn."
    )
    memory_critical_mb: float = setting(
        500.0,
        above(0),
        "Resident memory of the process above which it is critical.",
    )
    processing_warning_ms: float = setting(
        1000.0, above(0), "Average duration of a discovery batch above which to warn."
    )
    processing_min_runs: int = setting(
        1, at_least(1), "Minimum batches in the window for the average to be judged."
    )
    handler_errors_warning_percent: float = setting(
        5.0, between(0, 100), "Percentage of failed handler calls above which to warn."
    )
    handler_errors_critical_percent: float = setting(
        50.0,
        between(0, 100),
        "Percentage of failed handler calls above which it is critical.",
    )
    handler_errors_min_calls: int = setting(
        20,
        at_least(1),
        "Minimum handler calls in the window for the error rate to be judged.",
    )
    retries_warning: int = setting(
        10, at_least(0), "Retries in the window above which to warn."
    )
    batch_p95_min_runs: int = setting(
        20,
        at_least(1),
        "Minimum batches in the window for the 95th percentile to be judged.",
    )
    lag_age_warning_seconds: float = setting(
        300.0, above(0), "Age of the oldest unread event above which to warn."
    )
    lag_age_critical_seconds: float = setting(
        1800.0,
        above(0),
        "Age of the oldest unread event above which it is critical.",
    )
    drain_warning_seconds: float = setting(
        600.0, above(0), "Estimated time to drain a growing lag above which to warn."
    )
    lag_min_events: int = setting(
        100, at_least(1), "Minimum unread events for a growing lag to be judged."
    )
    pending_age_warning_seconds: float = setting(
        300.0, above(0), "Age of the oldest pending event above which to warn."
    )
    pending_age_critical_seconds: float = setting(
        3600.0,
        above(0),
        "Age of the oldest pending event above which it is critical.",
    )
    dead_letter_age_warning_seconds: float = setting(
        86_400.0, above(0), "Age of the oldest dead letter above which to warn."
    )
    buffer_warning_percent: float = setting(
        80.0,
        between(0, 100),
        "Percentage of the publisher's buffer in use above which to warn.",
    )

    def __post_init__(self) -> None:
        validate(self)
        for pair in _pairs(type(self)):
            first, second = getattr(self, pair.warning), getattr(self, pair.critical)
            falls = pair.critical_default < pair.warning_default
            if (first >= second) if falls else (first <= second):
                continue
            if second != pair.critical_default:
                word = "least" if falls else "most"
                raise ConfigError(
                    f"Thresholds.{pair.warning}={first:g}: must be at {word}"
                    f" {pair.critical} ({second:g})"
                )
            object.__setattr__(self, pair.critical, pair.in_proportion(first))

    def _derived_fields(self) -> set[str]:
        """Critical limits in default proportion; a changed copy derives them again."""
        return {
            pair.critical
            for pair in _pairs(type(self))
            if getattr(self, pair.critical)
            == pair.in_proportion(getattr(self, pair.warning))
        }


class _Pair(NamedTuple):
    """Names and defaults of a warning limit and its critical limit."""

    warning: str
    critical: str
    warning_default: float
    critical_default: float

    def in_proportion(self, warning: float) -> float:
        """The critical limit in default proportion to a warning limit."""
        limit = warning * self.critical_default / self.warning_default
        return min(limit, 100.0) if self.critical.endswith("_percent") else limit


def _pairs(cls: Any) -> Iterator[_Pair]:
    defaults: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(cls)}
    for warning, default in defaults.items():
        critical = warning.replace("_warning_", "_critical_")
        if critical != warning and critical in defaults:
            yield _Pair(warning, critical, default, defaults[critical])
