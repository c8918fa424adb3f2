"""``python -m chaos``: run, show, and fail if anything is lost."""

import argparse
import asyncio
import json
import random
import sys
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chaos.result import Options, Result
from chaos.runs import NAMES, find


def main() -> int:
    """Run what the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=" ".join(NAMES))
    parser.add_argument("--seed", type=int, default=None, help="of all chance")
    parser.add_argument("--events", type=int, default=None, help="scales a run")
    parser.add_argument("--seconds", type=float, default=None, help="that it lasts")
    parser.add_argument("--json", type=Path, default=None, help="write results here")
    args = parser.parse_args()
    unknown = set(args.runs) - set(NAMES)
    if unknown:
        parser.error(f"no run is called {min(unknown)!r}: {' '.join(NAMES)}")
    console = Console(width=None if sys.stdout.isatty() else 110)
    seed = random.randrange(2**31) if args.seed is None else args.seed
    console.print(f"seed {seed}")
    options = Options(seed, args.events, args.seconds)
    results: list[Result] = []
    for name in args.runs or NAMES:
        started = time.monotonic()
        found = asyncio.run(find(name)(options))
        for result in found:
            result.seconds = result.seconds or time.monotonic() - started
        console.print(table(found))
        results += found
    if args.json is not None:
        rows = [{**asdict(result), "passed": result.passed} for result in results]
        args.json.write_text(json.dumps({"seed": seed, "results": rows}, indent=1))
    return 0 if all(result.passed for result in results) else 1


def table(results: list[Result]) -> Table:
    """The results of a run."""
    made = Table(show_lines=True)
    for column in ("run", "passed", "s", "figures", "problems"):
        made.add_column(column, overflow="fold")
    for result in results:
        made.add_row(
            result.name,
            "[green]yes" if result.passed else "[red]NO",
            f"{result.seconds:.1f}",
            ", ".join(f"{name} {value}" for name, value in result.figures.items()),
            "\n".join(result.problems),
        )
    return made


if __name__ == "__main__":
    sys.exit(main())
