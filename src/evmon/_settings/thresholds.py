"""The limits, defined only here.

Warnings, alert rules, dashboards and the tables of the runbooks are all generated from
`Thresholds`; nothing else in the package repeats a number.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

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


class Unset(float):
    """A limit left at its default: it may move, unlike one that was set."""


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Limits of a healthy service.

    Rates, averages and counts cover the last window. A critical limit that is not set
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
        Unset(20),
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
        Unset(500),
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
        Unset(50),
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
        Unset(1800),
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
        Unset(3600),
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
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        for warning, default in defaults.items():
            critical = warning.replace("_warning_", "_critical_")
            if critical != warning and critical in defaults:
                self._put_in_order(warning, default, critical, defaults[critical])

    def _put_in_order(
        self, warning: str, warning_default: Any, critical: str, critical_default: Any
    ) -> None:
        """Keep the critical limit beyond the warning limit."""
        first, second = getattr(self, warning), getattr(self, critical)
        may_move = isinstance(second, Unset)
        if may_move:
            second = critical_default
            object.__setattr__(self, critical, second)
        falls = critical_default < warning_default
        if (first >= second) if falls else (first <= second):
            return
        if not may_move:
            word = "least" if falls else "most"
            raise ConfigError(
                f"Thresholds.{warning}={first:g}: must be at {word} {critical}"
                f" ({second:g})"
            )
        moved = first * critical_default / warning_default
        most = 100.0 if critical.endswith("_percent") else moved
        object.__setattr__(self, critical, Unset(min(moved, most)))
