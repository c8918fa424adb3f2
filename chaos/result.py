"""Options that a run gets, and the result that it returns."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command line.

    Attributes:
        seed: seed of all randomness.
        events: number of events or kills; None for the run's default.
        seconds: duration of the load; None for the run's default.
        slack: seconds that a busy machine may exceed a time limit by.
    """

    seed: int
    events: int | None = None
    seconds: float | None = None
    slack: float = 0.0


@dataclass(slots=True)
class Result:
    """Result of a run, or of one part of it.

    Attributes:
        name: id of the run, and what this part did.
        figures: measured values by name.
        problems: failed checks; empty if the run passed.
        seconds: duration.
    """

    name: str
    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.problems


Run: TypeAlias = Callable[[Options], Coroutine[Any, Any, list[Result]]]
