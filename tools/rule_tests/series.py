"""Input series of the unit tests, in promtool's notation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tools.rule_tests.data import STEP, Input

_OLD_UPTIME: Final = 100_000
"""Uptime at the start of a test, in seconds."""

_NEW_UPTIME: Final = 10
"""Uptime of a new process at its first scrape, in seconds."""

_OLD_TOTAL: Final = 1000.0
"""Value of a counter at the start of a test."""

_CREEP: Final = 1e-9
"""Part of its value by which a creep rises at each sample."""

_STEPS_PER_RESTART: Final = 2


@dataclass(frozen=True, slots=True)
class Phase:
    """A period in which the shapes of a process's series do not change.

    Attributes:
        inputs: series of the process; None while there is no process.
        steps: length of the phase, in samples.
        idle: whether counters stand still.
    """

    inputs: tuple[Input, ...] | None
    steps: int
    idle: bool = False


RESTART: Final = Phase(None, 0)
"""A restart between two samples."""


def series_of(
    phases: Sequence[Phase], window_seconds: float, instances: int = 1
) -> dict[str, str]:
    """Return the values of each series of a process, in promtool's notation.

    Args:
        phases: phases of the process, in order.
        window_seconds: time in which a counter grows by its value.
        instances: number of instances among which shared values are divided.
    """
    names = dict.fromkeys(
        given.series for phase in phases for given in phase.inputs or ()
    )
    return {
        name: _SeriesWriter(name, window_seconds, instances).write(phases)
        for name in names
    }


class _SeriesWriter:
    """Writes the values of one series, phase after phase."""

    def __init__(self, name: str, window_seconds: float, instances: int) -> None:
        self._name = name
        self._window = window_seconds
        self._instances = instances
        self._total: float | None = None
        self._uptime = _OLD_UPTIME
        self._step = 0

    def write(self, phases: Sequence[Phase]) -> str:
        parts = []
        for phase in phases:
            parts.append(self._phase(phase))
            self._step += phase.steps
        return " ".join(filter(None, parts))

    def _phase(self, phase: Phase) -> str:
        if phase.inputs is None:
            self._total, self._uptime = 0.0, _NEW_UPTIME
        for given in phase.inputs or ():
            if given.series == self._name:
                return self._values(given, phase)
        absent = f"stale _x{phase.steps - 1}" if phase.steps > 1 else "stale"
        return absent if phase.steps else ""

    def _values(self, given: Input, phase: Phase) -> str:
        steps = phase.steps
        if given.shape == "gauge":
            return _linear(given.value, 0, steps)
        if given.shape == "flapping":
            period = round(100 / given.value)
            return " ".join("01"[step % period > 0] for step in range(steps))
        if given.shape == "creep":
            slope = given.value * _CREEP
            return _linear(given.value + slope * self._step, slope, steps)
        if given.shape == "uptime" or (given.shape == "restarts" and phase.idle):
            start, self._uptime = self._uptime, self._uptime + STEP * steps
            return _linear(start, STEP, steps)
        if given.shape == "restarts":
            return _restarts(round(given.value), steps)
        return self._counter(given, 0.0 if phase.idle else given.value, steps)

    def _counter(self, given: Input, value: float, steps: int) -> str:
        share = value / self._instances if given.shared else value
        if self._total is None:
            self._total = 0.0 if given.shape == "burst" else _OLD_TOTAL
        if given.shape == "burst":
            self._total += share
            return _linear(self._total, 0, steps)
        slope = share * STEP / self._window
        start = self._total + slope
        self._total += slope * steps
        return _linear(start, slope, steps)


def _restarts(count: int, steps: int) -> str:
    last = steps - _STEPS_PER_RESTART * (count - 1)
    lives = [_STEPS_PER_RESTART] * (count - 1) + [last]
    return " ".join(_linear(1, STEP, life) for life in lives)


def _linear(start: float, slope: float, steps: int) -> str:
    return f"{_decimal(start)}+{_decimal(slope)}x{steps - 1}"


def _decimal(value: float) -> str:
    return f"{value:.12f}".rstrip("0").rstrip(".") or "0"
