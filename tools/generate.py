"""Generates the rules, dashboards and documentation tables of the repository."""

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from evmon._alerting.alertmanager import alertmanager
from evmon._alerting.dashboards.boards import boards
from evmon._alerting.rules_file import rules
from evmon._settings.thresholds import Thresholds
from tools import docs_tables as tables

_BLOCK: Final = re.compile(
    r"(?P<start><!-- made: (?P<name>\S+)(?: (?P<argument>\S+))? -->\n).*?"
    r"(?P<end><!-- end -->)",
    re.DOTALL,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files that have changed; return the exit code.

    Args:
        arguments: command line; ``--check`` writes nothing and returns 1 if a file is out
            of date.
    """
    parser = argparse.ArgumentParser(prog="scripts/generate", description=__doc__)
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing, fail if a file would change",
    )
    check = parser.parse_args(arguments).check
    changed = {path: text for path, text in generated(Path()) if _read(path) != text}
    if check and changed:
        names = " ".join(map(str, changed))
        sys.stderr.write(f"generate: out of date, run scripts/generate: {names}\n")
        return 1
    for path, text in changed.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        sys.stdout.write(f"{path}\n")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


def generated(
    root: Path, limits: Thresholds = Thresholds()
) -> Iterator[tuple[Path, str]]:
    """Yield the path and the content of each generated file.

    In a page of the documentation, only what stands between ``<!-- made: NAME -->`` and
    ``<!-- end -->`` is generated.

    Args:
        root: root directory of the repository.
        limits: limits of alerts, dashboards and tables.
    """
    yield root / "alerts" / "evmon-rules.yaml", rules(limits)
    yield root / "alerts" / "alertmanager.yaml", alertmanager()
    yield root / "alerts" / "alertmanager-route.yaml", alertmanager("route")
    if sys.version_info >= (3, 11):  # required by Grafana's SDK
        from evmon._alerting.dashboards.grafana import render

        for board in boards(limits):
            yield root / "dashboards" / f"{board.uid}.json", render(board)
    for page in sorted((root / "docs").rglob("*.md")):
        text = page.read_text("utf-8")
        if _BLOCK.search(text):
            yield page, _with_blocks(text, limits)


def _with_blocks(text: str, limits: Thresholds) -> str:
    generators: Mapping[str, Callable[[str], str]] = {
        "instruments": lambda _: tables.instruments_table(),
        "boundaries": lambda _: tables.boundaries_table(),
        "settings": lambda _: tables.settings_table(),
        "limits": lambda _: tables.limits_table(limits),
        "alerts": lambda runbooks: tables.alerts_table(limits, runbooks),
        "alert": lambda name: tables.alert_table(name, limits),
        "rule": lambda name: f"```promql\n{tables.alert_rule(name, limits)}\n```",
    }

    def replace(match: re.Match[str]) -> str:
        content = generators[match["name"]](match["argument"] or "")
        return f"{match['start']}\n{content}\n\n{match['end']}"

    return _BLOCK.sub(replace, text)


if __name__ == "__main__":
    sys.exit(main())
