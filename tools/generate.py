"""All files of the repository that are made from `Thresholds` and the instruments."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from evmon._alerting.dashboards.boards import boards
from evmon._alerting.rules_file import DEFAULTS, rules
from evmon._settings.thresholds import Thresholds
from tools import docs_tables as tables
from tools.alertmanager import alertmanager
from tools.rule_tests.cases import rule_tests

_BLOCK: Final = re.compile(
    r"(?P<start><!-- made: (?P<name>\S+)(?: (?P<about>\S+))? -->\n).*?"
    r"(?P<end><!-- end -->)",
    re.DOTALL,
)


def generated(
    root: Path, limits: Thresholds = Thresholds()
) -> Iterator[tuple[Path, str]]:
    """Each file and what should be in it.

    Pages of the documentation are written by hand but for what stands between
    ``<!-- made: NAME -->`` and ``<!-- end -->``.

    Args:
        root: of the repository.
        limits: that everything holds services to.
    """
    alerts = root / "alerts"
    yield alerts / "evmon-rules.yaml", rules(limits)
    tests = rule_tests(limits, DEFAULTS, "evmon-rules.yaml")
    yield alerts / "evmon-rules.test.yaml", tests
    yield alerts / "alertmanager.yaml", alertmanager()
    if sys.version_info >= (3, 11):  # as Grafana's SDK needs it
        from evmon._alerting.dashboards.grafana import render

        for board in boards(limits):
            yield root / "dashboards" / f"{board.uid}.json", render(board)
    for page in sorted((root / "docs").rglob("*.md")):
        text = page.read_text("utf-8")
        if _BLOCK.search(text):
            yield page, _with_blocks(text, limits)


def _with_blocks(text: str, limits: Thresholds) -> str:
    makers: Mapping[str, Callable[[str], str]] = {
        "instruments": lambda _: tables.instruments_table(),
        "boundaries": lambda _: tables.boundaries_table(),
        "settings": lambda _: tables.settings_table(),
        "limits": lambda _: tables.limits_table(limits),
        "alerts": lambda runbooks: tables.alerts_table(limits, runbooks),
        "alert": lambda name: tables.alert_table(name, limits),
        "rule": lambda name: f"```promql\n{tables.alert_rule(name, limits)}\n```",
    }

    def made(match: re.Match[str]) -> str:
        content = makers[match["name"]](match["about"] or "")
        return f"{match['start']}\n{content}\n\n{match['end']}"

    return _BLOCK.sub(made, text)
