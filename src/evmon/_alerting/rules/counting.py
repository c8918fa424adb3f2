"""How events are counted: over the window, to the event, and from before the first scrape."""

from evmon._alerting.promql import PER_INSTANCE, by, growth, recent, series
from evmon._settings.thresholds import Thresholds
from evmon._telemetry.instruments import Instrument


def brief(limits: Thresholds) -> float:
    """Seconds for which a count must be too high: a burst leaves the window again."""
    return min(60.0, limits.window_seconds / 2)


def counted(row: Instrument, selector: str, limits: Thresholds) -> str:
    """How often something happened in the window, where all series are there at first."""
    counter, window = series(row, selector), limits.window_seconds
    grown = by(PER_INSTANCE, growth(counter, window))
    return recent(by(PER_INSTANCE, counter), grown, window)


def counted_in_all(recorded: str, limits: Thresholds) -> str:
    """The same, of a sum that is recorded because its series come later."""
    window = limits.window_seconds
    return recent(recorded, growth(recorded, window), window)
