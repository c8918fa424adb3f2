"""Series of the rules' unit tests: what a process shows, phase after phase."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from evmon._alerting.rules.alert import STEP, Input

_OLD: Final = 100_000
"""Uptime of a process that is there when a test begins, in seconds."""

_YOUNG: Final = 10
"""Uptime of a process when it is scraped for the first time."""

_COUNTED: Final = 1000.0
"""What a counter of such a process has counted before the test begins."""

_CREEP: Final = 1e-9
"""By what part a creep rises from one sample to the next."""

_LIFE: Final = 2
"""Steps from one restart to the next."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What a process shows for a while.

    Attributes:
        inputs: its series; None while there is no process.
        steps: for how long, in samples.
        idle: whether its counters stand still.
    """

    inputs: tuple[Input, ...] | None
    steps: int
    idle: bool = False


RESTART: Final = Phase(None, 0)
"""A new process that is there before the next sample is taken."""


def series_of(
    phases: Sequence[Phase], window_seconds: float, instances: int = 1
) -> dict[str, str]:
    """The values of each series of a process, as promtool writes them.

    Args:
        phases: in their order.
        window_seconds: in which a counter grows by its value.
        instances: how many share what is shared.
    """
    names = dict.fromkeys(
        given.series for phase in phases for given in phase.inputs or ()
    )
    return {name: _Line(name, window_seconds, instances).of(phases) for name in names}


class _Line:
    """The values of one series."""

    def __init__(self, name: str, window_seconds: float, instances: int) -> None:
        self._name = name
        self._window = window_seconds
        self._instances = instances
        self._total: float | None = None
        self._uptime = _OLD
        self._step = 0

    def of(self, phases: Sequence[Phase]) -> str:
        parts = []
        for phase in phases:
            parts.append(self._in(phase))
            self._step += phase.steps
        return " ".join(filter(None, parts))

    def _in(self, phase: Phase) -> str:
        if phase.inputs is None:
            self._total, self._uptime = 0.0, _YOUNG
        for given in phase.inputs or ():
            if given.series == self._name:
                return self._shown(given, phase)
        gone = f"stale _x{phase.steps - 1}" if phase.steps > 1 else "stale"
        return gone if phase.steps else ""

    def _shown(self, given: Input, phase: Phase) -> str:
        steps = phase.steps
        if given.shape == "gauge":
            return _rise(given.value, 0, steps)
        if given.shape == "creep":
            slope = given.value * _CREEP
            return _rise(given.value + slope * self._step, slope, steps)
        if given.shape == "uptime" or (given.shape == "restarts" and phase.idle):
            start, self._uptime = self._uptime, self._uptime + STEP * steps
            return _rise(start, STEP, steps)
        if given.shape == "restarts":
            return _lives(round(given.value), steps)
        return self._counted(given, 0.0 if phase.idle else given.value, steps)

    def _counted(self, given: Input, value: float, steps: int) -> str:
        share = value / self._instances if given.shared else value
        if self._total is None:
            self._total = 0.0 if given.shape == "burst" else _COUNTED
        if given.shape == "burst":
            self._total += share
            return _rise(self._total, 0, steps)
        slope = share * STEP / self._window
        start = self._total + slope
        self._total += slope * steps
        return _rise(start, slope, steps)


def _lives(restarts: int, steps: int) -> str:
    last = steps - _LIFE * (restarts - 1)
    return " ".join(
        [_rise(1, STEP, _LIFE)] * (restarts - 1) + [_rise(1, STEP, last)],
    )


def _rise(start: float, slope: float, steps: int) -> str:
    return f"{_exact(start)}+{_exact(slope)}x{steps - 1}"


def _exact(value: float) -> str:
    return f"{value:.12f}".rstrip("0").rstrip(".") or "0"
