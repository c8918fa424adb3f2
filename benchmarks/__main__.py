"""Command line: runs benchmarks, prints a table, exits with 1 if a bar was missed."""

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Settings
from benchmarks.redis_server import PrivateRedis

BENCHMARKS: Final = (
    *("consume", "publish", "latency", "routing", "cache", "context"),
    *("scrape", "record"),
    *("backlog", "memory", "discovery", "idle", "imports", "processes"),
)
PACKAGES: Final = (
    *("evmon", "redis", "hiredis", "msgspec", "uvloop", "prometheus-client"),
    *("opentelemetry-sdk", "faststream", "taskiq", "taskiq-redis"),
)
_STYLES: Final = {"reach": "green", "bar": "yellow", "missed": "bold red", "-": "dim"}


def main() -> int:
    """Run the benchmarks of the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measures evmon against alternatives."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument(
        "--quick", action="store_true", help="use a fifth of the events"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="file to write the figures to"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        names = ", ".join(sorted(unknown))
        parser.error(f"unknown: {names}; there are {', '.join(BENCHMARKS)}")
    settings = Settings(max(arguments.rounds, 1), arguments.quick)
    console = Console(stderr=True)
    figures: list[Figure] = []
    with PrivateRedis() as redis:
        environment = describe_environment(redis.version)
        for name in arguments.names or BENCHMARKS:
            with console.status(name):
                module = importlib.import_module(f"benchmarks.{name}")
                figures += module.measure(settings, redis)
            if arguments.json:
                write(arguments.json, settings, environment, figures)
    output = Console()
    if not output.is_terminal:
        output.width = 160
    output.print(table(figures))
    return 1 if any(figure.verdict == "missed" for figure in figures) else 0


def describe_environment(redis_version: str) -> dict[str, Any]:
    """The kind of machine and the versions of all programs."""
    versions = {"python": platform.python_version(), "redis-server": redis_version}
    versions |= {package: _version(package) for package in PACKAGES}
    machine = f"{platform.system()} {platform.machine()}"
    return {"machine": machine, "cores": os.cpu_count(), "versions": versions}


def write(
    path: Path,
    settings: Settings,
    environment: dict[str, Any],
    figures: Sequence[Figure],
) -> None:
    """Write the figures measured so far as JSON."""
    report = {
        **environment,
        "rounds": settings.rounds,
        "quick": settings.quick,
        "figures": [figure.as_json() for figure in figures],
    }
    path.write_text(f"{json.dumps(report, indent=2)}\n", "utf-8")


def table(figures: Sequence[Figure]) -> Table:
    """The figures as a table with one row each."""
    columns = (
        "benchmark",
        "figure",
        "bar",
        "reach",
        "value",
        "±",
        "verdict",
        "medians",
    )
    shown = Table(*columns)
    for figure in figures:
        sign = "≥" if figure.at_least else "≤"
        limits = [
            "" if limit is None else f"{sign} {limit:.4g}"
            for limit in (figure.bar, figure.reach)
        ]
        medians = ", ".join(f"{k} {v:,.4g}" for k, v in figure.medians.items())
        verdict = f"[{_STYLES[figure.verdict]}]{figure.verdict}[/]"
        value = f"{figure.value:.4g} {figure.unit}".strip()
        spread = f"{figure.spread:.2g}" if figure.spread else ""
        shown.add_row(
            *(figure.benchmark, figure.name, *limits, value, spread, verdict, medians)
        )
    return shown


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "source tree"


if __name__ == "__main__":
    sys.exit(main())
