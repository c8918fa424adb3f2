"""Counts events in the window exactly, including those before the first scrape."""

from evmon._alerting.promql import (
    PER_BUS,
    UPTIME,
    by,
    duration,
    number,
    on,
    series,
)
from evmon._alerting.rules.scrapes import CARRY_SECONDS
from evmon._settings.thresholds import Thresholds
from evmon._telemetry.instrument import Instrument


def count_hold_seconds(limits: Thresholds) -> float:
    """Return the ``for:`` of an alert on a count in the window, in seconds.

    It is shorter than the window, so that a single burst fires before it leaves it.
    """
    return min(60.0, limits.window_seconds / 2)


def count_in_window(instrument: Instrument, selector: str, limits: Thresholds) -> str:
    """Count events per bus, for a counter whose series exist from the start."""
    counter, window = series(instrument, selector), limits.window_seconds
    total = by(PER_BUS, f"last_over_time({counter}[{duration(window)}])")
    increase = by(PER_BUS, exact_increase(counter, window))
    extrapolated = by(PER_BUS, f"increase({counter}[{duration(window)}])")
    restarted = _if_restarted(f"({extrapolated} > {total})", (UPTIME,), window)
    return f"(\n{restarted}\nor {increase_or_total(total, increase, window)}\n)"


def recorded_count_in_window(
    recorded: str,
    counter: str,
    limits: Thresholds,
    labels: tuple[str, ...] = PER_BUS,
) -> str:
    """Count events from a recorded sum, whose own series may appear late.

    Args:
        recorded: sum of the counter.
        counter: selector of the counter.
        limits: limits with the window.
        labels: labels of the sum.
    """
    window = duration(limits.window_seconds)
    more = (
        f"({by(labels, f'increase({counter}[{window}])')}"
        f" > last_over_time({recorded}[{window}]))"
    )
    restarted = _if_restarted(more, (UPTIME, recorded), limits.window_seconds)
    return f"(\n{restarted}\nor {recorded_count_of_a_life(recorded, limits)}\n)"


def recorded_count_of_a_life(recorded: str, limits: Thresholds) -> str:
    """Count events exactly from a recorded sum, since the last restart at most."""
    window = limits.window_seconds
    total = f"last_over_time({recorded}[{duration(window)}])"
    return increase_or_total(total, exact_increase(recorded, window), window)


def increase_or_total(total: str, increase: str, window_seconds: float) -> str:
    """Return a counter's increase, or its total for a bus younger than the window.

    An increase over a range of samples misses what was counted before the first scrape,
    such as a failure at startup. A bus younger than the window counted all of its total
    within the window. One that is gone counts as long as its last sample is in the window,
    so that the failures of processes that live for a minute are seen.

    Args:
        total: last value of the counter in the window, summed per bus.
        increase: increase of the counter in the window, summed per bus.
        window_seconds: length of the window.
    """
    uptime = f"last_over_time({UPTIME}[{duration(window_seconds)}])"
    young = f"{on(PER_BUS)} {uptime} < {number(window_seconds)}"
    return f"(\n{total} and {young}\nor {increase}\n)"


def _if_restarted(count: str, falls: tuple[str, ...], window_seconds: float) -> str:
    """Return a count for buses that restarted in the window.

    A process that crashes again and again has never counted much since its last start. What
    its earlier lives counted in the window is extrapolated.

    Args:
        count: increase of a counter over restarts, if it is more than the total.
        falls: series that fall at a restart.
        window_seconds: length of the window.
    """
    window = duration(window_seconds)
    resets = " or ".join(f"resets({name}[{window}]) > 0" for name in falls)
    return f"{count} and {on(PER_BUS)} ({resets})"


def exact_increase(counter: str, window_seconds: float) -> str:
    """Return by how much a counter or a gauge rose in the window.

    `increase` extrapolates: 10 events become 10.5 or 12. The difference between the
    samples in the window leaves out what came between the last sample before it and the
    first one in it: at 60 s, a fifth of 5 minutes. So the value before the window is
    subtracted, or the least value in it, if there is none before it or if it fell.

    Args:
        counter: series that only falls when it starts again.
        window_seconds: length of the window.
    """
    window, carry = duration(window_seconds), duration(CARRY_SECONDS)
    before = f"last_over_time({counter}[{carry}] offset {window})"
    least = f"min_over_time({counter}[{window}])"
    last = f"last_over_time({counter}[{window}])"
    return f"({last} - ({before} <= {least} or {least}))"
