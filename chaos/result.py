"""What a run is told, and what it says."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    Attributes:
        seed: of all chance.
        events: how much; None means the run's own number.
        seconds: how long; None likewise.
        slack: seconds more than promised that a machine busy with other things may take.
    """

    seed: int
    events: int | None = None
    seconds: float | None = None
    slack: float = 0.0


@dataclass(slots=True)
class Result:
    """What a run says.

    Attributes:
        name: of the run.
        figures: what was measured.
        problems: what must not be; none means that it passed.
        seconds: that it took.
    """

    name: str
    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


Run: TypeAlias = Callable[[Options], Coroutine[Any, Any, list[Result]]]
