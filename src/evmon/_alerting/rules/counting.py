"""Counts events in the window exactly, including those before the first scrape."""

from evmon._alerting.promql import (
    PER_INSTANCE,
    by,
    exact_increase,
    increase_or_total,
    series,
)
from evmon._settings.thresholds import Thresholds
from evmon._telemetry.instrument import Instrument


def count_hold_seconds(limits: Thresholds) -> float:
    """Return the ``for:`` of an alert on a count in the window, in seconds.

    It is shorter than the window, so that a single burst fires before it leaves it.
    """
    return min(60.0, limits.window_seconds / 2)


def count_in_window(instrument: Instrument, selector: str, limits: Thresholds) -> str:
    """Count events per process, for a counter whose series exist from the start."""
    counter, window = series(instrument, selector), limits.window_seconds
    increase = by(PER_INSTANCE, exact_increase(counter, window))
    return increase_or_total(by(PER_INSTANCE, counter), increase, window)


def recorded_count_in_window(recorded: str, limits: Thresholds) -> str:
    """Count events per process from a recorded sum, whose own series may appear late."""
    window = limits.window_seconds
    return increase_or_total(recorded, exact_increase(recorded, window), window)
