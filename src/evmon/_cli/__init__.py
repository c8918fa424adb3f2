"""The command line, ``evmon``."""

from evmon._cli.app import main

__all__ = ["main"]
