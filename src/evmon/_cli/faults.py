"""The faults of ``evmon demo``, and the alert that each of them raises."""

from dataclasses import dataclass
from typing import Final

from evmon._monitor.findings import (
    CACHE_HIT_RATE,
    HANDLER_ERRORS,
    MEMORY,
    PROCESSING,
    RETRIES,
)
from evmon._settings.thresholds import Thresholds

STARTS: Final = 5.0
"""Seconds after the start at which a fault begins."""

DEFAULT_SECONDS: Final = 15.0
"""Duration of a fault: enough for the monitor's warning, not for an alert."""


_SCRAPES: Final = 4
"""Scrapes until a change shows in every rule: the first ones hold no or mixed growth."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault to inject.

    Attributes:
        what: description of the fault.
        alert: name of the alert that it raises, and of the monitor's warning.
    """

    what: str
    alert: str


FAULTS: Final[dict[str, Fault]] = {
    "cold-cache": Fault(
        "new providers are registered all the time", CACHE_HIT_RATE.alert
    ),
    "memory": Fault("the process holds more memory than its limit", MEMORY.alert),
    "slow-discovery": Fault("a provider has a slow constructor", PROCESSING.alert),
    "retries": Fault("payments fail at first and succeed when retried", RETRIES.alert),
    "failing-handler": Fault(
        "payments fail permanently and are dead-lettered", HANDLER_ERRORS.alert
    ),
}


def seconds_to_alert(fault: Fault) -> float:
    """Seconds of a fault after which the rules of ``evmon rules`` raise its alert."""
    from evmon._alerting.promql import SCRAPE_INTERVAL_SECONDS
    from evmon._alerting.rules_file import alerts

    hold = min(
        alert.hold_seconds
        for alert in alerts(Thresholds())
        if alert.name == fault.alert
    )
    return hold + _SCRAPES * SCRAPE_INTERVAL_SECONDS


def expectation(fault: Fault, seconds: float) -> str:
    """Which alert to expect from a fault that lasts `seconds`, and when."""
    from evmon._alerting.promql import SCRAPE_INTERVAL_SECONDS, duration

    needed = seconds_to_alert(fault)
    if seconds < needed:
        return (
            f"The monitor warns of {fault.alert}; the alert of 'evmon rules' needs"
            f" --for {duration(needed)}."
        )
    clears = Thresholds().window_seconds + _SCRAPES * SCRAPE_INTERVAL_SECONDS
    return (
        f"Expect the alert {fault.alert} of 'evmon rules' within {duration(needed)};"
        f" it clears within {duration(clears)} of the fault's end."
    )
