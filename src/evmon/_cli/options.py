"""Option types that click does not provide."""

import math
import operator
import re
from typing import Any, Final

import click

_DURATION: Final = re.compile(
    r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?"
)


class FiniteRange(click.FloatRange):
    """A range of floats that rejects NaN and infinity."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Check that the number is finite; NaN passes every range check."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Duration(click.FloatRange):
    """A positive duration such as ``90s``, ``10m`` or ``1h30m``, in seconds."""

    name = "duration"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds of a duration; a number without a unit is seconds."""
        match = _DURATION.fullmatch(str(value))
        parts = [float(part or 0) for part in match.groups()] if match else []
        seconds = float(sum(map(operator.mul, parts, (3600, 60, 1))))
        if not 0 < seconds < math.inf:
            self.fail(f"{value!r} is not a duration such as 90s or 10m.", param, ctx)
        return seconds
