"""The command line: ``evmon demo``, ``run``, ``handlers``, ``check``."""

from evmon._cli.app import main

__all__ = ["main"]
