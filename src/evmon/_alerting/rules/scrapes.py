"""Reads series over failed scrapes.

After a failed scrape Prometheus marks every series of the target as stale: an instant
selector returns nothing until the next scrape succeeds. An alert on it would be resolved,
and its ``for:`` would start again.
"""

from evmon._alerting.promql import PER_TARGET, by, duration, on, series
from evmon._telemetry.instrument import Instrument

CARRY_SECONDS = 240.0
"""For how long a last value is used: three failed scrapes in a row, 60 s apart."""

REMOVED = "job_instance:evmon_target_removed:last"
"""Targets that Prometheus scraped of late and does not know any more."""

_CARRY = duration(CARRY_SECONDS)
REMOVED_TARGETS = f"last_over_time(up[{_CARRY}]) unless up"
"""The expression of `REMOVED`."""


def last_value(selector: str) -> str:
    """Return the last value of each series in the last `CARRY_SECONDS`.

    Use it for counters: what a process counted is true even if the process is gone.
    """
    return f"last_over_time({selector}[{_CARRY}])"


def carried(selector: str) -> str:
    """Return the last value of each gauge, over failed scrapes.

    A process that was removed, such as the old pod of a deploy, has no state any more.
    """
    return f"({last_value(selector)} unless {on(PER_TARGET)} {REMOVED})"


def shared_gauge(instrument: Instrument, labels: tuple[str, ...]) -> str:
    """Return a gauge that several processes report alike, over failed scrapes.

    Values of processes whose last scrape succeeded win over older ones.

    Args:
        instrument: gauge; its greatest value is taken.
        labels: labels to keep.
    """
    gauge = series(instrument)
    return f"({by(labels, gauge, 'max')}\nor {by(labels, carried(gauge), 'max')})"
