"""The runs, each in a module of its own with a coroutine function ``run``."""

from dataclasses import dataclass
from importlib import import_module
from typing import Final

from chaos.result import Run

_MODULES: Final = {
    "t1": "kill_processes",
    "t2": "kill_at_failpoints",
    "t3": "lose_replies",
    "t4": "slow_handlers",
    "t5": "damage_server_state",
    "t6": "kill_redis",
    "t7": "promote_replica",
    "t8": "stop_consumers",
    "t9": "fuzz_entries",
    "t11": "unknown_types",
    "t12": "abuse_metrics",
    "t14": "detect_mutants",
    "t15": "fail_over_cluster",
    "t16": "move_slots",
    "t17": "freeze_primary",
    "t20": "freeze_processes",
    "t21": "slow_link",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A run that the command line offers.

    Attributes:
        id: its number in docs/reliability.md, such as ``t1``.
        name: its name, such as ``kill-processes``.
        summary: one sentence about it: the docstring of its module.
        run: the coroutine function that does it.
    """

    id: str
    name: str
    summary: str
    run: Run


def entries() -> list[Entry]:
    """All runs, in the order of their ids."""
    return [_entry(run_id, module) for run_id, module in _MODULES.items()]


def find(id_or_name: str) -> Entry:
    """The run with this id or name.

    Raises:
        KeyError: there is no such run.
    """
    for run_id, module in _MODULES.items():
        if id_or_name in (run_id, _name(module)):
            return _entry(run_id, module)
    raise KeyError(id_or_name)


def _name(module: str) -> str:
    return module.replace("_", "-")


def _entry(run_id: str, module: str) -> Entry:
    loaded = import_module(f"chaos.runs.{module}")
    summary = (loaded.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    return Entry(run_id, _name(module), summary.replace("``", "").strip(), loaded.run)
