"""Command line: does runs, prints their results, exits with 1 if a check failed."""

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
from chaos.runs import Entry, entries, find


def main() -> int:
    """Do the runs of the command line; returns the exit code."""
    args, runs = _parse()
    console = Console(width=None if sys.stdout.isatty() else 110)
    seed = random.randrange(2**31) if args.seed is None else args.seed
    console.print(f"seed {seed}")
    options = Options(seed, args.events, args.seconds)
    results: list[Result] = []
    for entry in runs:
        started = time.monotonic()
        found = asyncio.run(entry.run(options))
        for result in found:
            result.seconds = result.seconds or time.monotonic() - started
        console.print(table(found))
        results += found
    if args.json is not None:
        rows = [{**asdict(result), "passed": result.passed} for result in results]
        args.json.write_text(json.dumps({"seed": seed, "results": rows}, indent=1))
    return 0 if all(result.passed for result in results) else 1


def table(results: list[Result]) -> Table:
    """The results as a table with one row each."""
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


def _parse() -> tuple[argparse.Namespace, list[Entry]]:
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Injects faults into processes, Redis and the network, and accounts"
        " for every event.",
        epilog="runs:\n"
        + "\n".join(f"  {e.id:4} {e.name:20} {e.summary}" for e in entries()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="id or name of a run; all by default"
    )
    parser.add_argument("--seed", type=int, help="seed of all randomness")
    parser.add_argument(
        "--events", type=int, help="events, or kills, of a run; default: its own number"
    )
    parser.add_argument("--seconds", type=float, help="duration of t1 and t12")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    args = parser.parse_args()
    try:
        return args, [find(name) for name in args.runs] or entries()
    except KeyError as error:
        parser.error(f"unknown run {error}: see --help")


if __name__ == "__main__":
    sys.exit(main())
