"""Output: coloured on a terminal, plain otherwise; untrusted text is cleaned."""

import sys

import click
from rich.console import Console
from rich.text import Text

from evmon._text import printable


def console() -> Console:
    """A console on standard output; plain and 120 columns wide if not a terminal."""
    if sys.stdout.isatty():
        return Console()
    return Console(width=120, color_system=None, highlight=False)


def styled(text: str, style: str = "") -> Text:
    """A printable line for a console."""
    return Text(printable(text), style=style)


def echo_error(message: str) -> None:
    """Print an error as one printable line on standard error."""
    click.echo(f"evmon: {printable(' '.join(message.split()))}", err=True)
