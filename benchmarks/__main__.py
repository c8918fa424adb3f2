"""Measure, print a table, write JSON; the exit code says whether all bars are met."""

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

from benchmarks.measure import Figure, Settings
from benchmarks.servers import PrivateRedis

THEMES: Final = (
    *("consume", "publish", "latency", "routing", "cache", "scrape", "record"),
    *("memory", "discovery", "idle", "imports", "processes"),
)
PACKAGES: Final = (
    *("evmon", "redis", "hiredis", "msgspec", "uvloop", "prometheus-client"),
    *("opentelemetry-sdk", "faststream", "taskiq", "taskiq-redis"),
)
_STYLES: Final = {"reach": "green", "bar": "yellow", "missed": "bold red", "-": "dim"}


def main() -> int:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(THEMES))
    parser.add_argument("--rounds", type=int, default=5, help="5 by default")
    parser.add_argument("--quick", action="store_true", help="a fifth of the events")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(THEMES)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: not one of {', '.join(THEMES)}")
    settings = Settings(max(arguments.rounds, 1), arguments.quick)
    console = Console(stderr=True)
    figures: list[Figure] = []
    with PrivateRedis() as redis:
        machine = surroundings(redis.version)
        for name in arguments.names or THEMES:
            with console.status(name):
                theme = importlib.import_module(f"benchmarks.{name}")
                figures += theme.measure(settings, redis)
            if arguments.json:
                write(arguments.json, settings, machine, figures)
    output = Console()
    if not output.is_terminal:
        output.width = 160
    output.print(table(figures))
    return 1 if any(figure.verdict == "missed" for figure in figures) else 0


def surroundings(redis_version: str) -> dict[str, Any]:
    """What was measured, and on what kind of machine."""
    versions = {"python": platform.python_version(), "redis-server": redis_version}
    versions |= {package: _version(package) for package in PACKAGES}
    kind = f"{platform.system()} {platform.machine()}"
    return {"machine": kind, "cores": os.cpu_count(), "versions": versions}


def write(
    path: Path,
    settings: Settings,
    machine: dict[str, Any],
    figures: Sequence[Figure],
) -> None:
    """Write what was measured so far."""
    report = {
        **machine,
        "rounds": settings.rounds,
        "quick": settings.quick,
        "figures": [figure.as_json() for figure in figures],
    }
    path.write_text(f"{json.dumps(report, indent=2)}\n", "utf-8")


def table(figures: Sequence[Figure]) -> Table:
    """The figures, for people."""
    columns = ("theme", "figure", "bar", "reach", "value", "±", "verdict", "medians")
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
            *(figure.theme, figure.name, *limits, value, spread, verdict, medians)
        )
    return shown


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "source tree"


if __name__ == "__main__":
    sys.exit(main())
