"""Where text goes: colours for a terminal, plain text for anything else."""

import sys

from rich.console import Console


def console() -> Console:
    """A console on standard output; plain and wide when it is no terminal."""
    if sys.stdout.isatty():
        return Console()
    return Console(width=120, color_system=None, highlight=False)
