"""The runs, one module for each."""

from importlib import import_module

from chaos.result import Run

NAMES = ("t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9", "t11", "t12", "t14")


def find(name: str) -> Run:
    """The run of a name."""
    run: Run = import_module(f"chaos.runs.{name}").run
    return run
