"""Option types that click does not provide."""

import math
from typing import Any

import click


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
