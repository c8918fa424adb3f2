"""Pairs each alert with its test data and derives the values of its unit tests."""

import math
from dataclasses import dataclass
from typing import Final

from evmon._alerting.rules.alert import Alert
from evmon._alerting.rules_file import alerts
from evmon._settings.thresholds import Thresholds
from tools.rule_tests.core import core_data
from tools.rule_tests.data import AlertData, DataByAlert, Input
from tools.rule_tests.handlers import handler_data
from tools.rule_tests.losses import loss_data
from tools.rule_tests.services import service_data
from tools.rule_tests.transports import transport_data

_TOLERANCE: Final = 1e-6
"""Relative distance of the silent value from the limit: PromQL arithmetic is inexact."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An alert with the data of its unit tests."""

    alert: Alert
    data: AlertData

    @property
    def firing_value(self) -> float:
        """A value that raises the alert."""
        limit = self.alert.limit
        if self.data.firing_value is not None:
            return self.data.firing_value
        if self.data.counts_events:
            return limit + 1
        if self.alert.op == "<":
            return limit * 0.9
        highest = (limit + 100) / 2 if self.alert.unit == "%" else math.inf
        return min(limit * 1.2, highest)

    @property
    def silent_value(self) -> float:
        """A value just within the limit, which does not raise the alert."""
        if self.data.silent_value is not None:
            return self.data.silent_value
        if self.data.counts_events:
            return self.alert.limit
        sign = 1 if self.alert.op == "<" else -1
        return self.alert.limit * (1 + sign * _TOLERANCE)

    def inputs(self, value: float) -> tuple[Input, ...]:
        """Return the input series for a value, with the uptime if the alert uses it."""
        return self.data.with_uptime(self.data.inputs(value))

    def fires_at(self, value: float) -> bool:
        """Return whether a value raises the alert, if its guard holds."""
        limit = self.alert.limit
        if self.alert.op == "==":
            return value == limit
        return value > limit if self.alert.op == ">" else value < limit


def alert_data(limits: Thresholds) -> DataByAlert:
    """Return the test data of all alerts."""
    return {
        **service_data(),
        **core_data(limits),
        **handler_data(limits),
        **transport_data(limits),
        **loss_data(),
    }


def subjects(limits: Thresholds) -> tuple[Subject, ...]:
    """Return every alert with its test data."""
    data = alert_data(limits)
    return tuple(
        Subject(alert, data[alert.name, alert.severity]) for alert in alerts(limits)
    )
