"""Output: coloured on a terminal, plain otherwise."""

import sys

from rich.console import Console


def console() -> Console:
    """A console on standard output; plain and 120 columns wide if not a terminal."""
    if sys.stdout.isatty():
        return Console()
    return Console(width=120, color_system=None, highlight=False)
