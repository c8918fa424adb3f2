"""Types of options that click does not bring."""

import math
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A range of numbers in which NaN and infinity are none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Refuse what compares as if it were in the range."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number
