"""What the tests of rules and dashboards share."""

import json
import re
import sys
from pathlib import Path

import promql_parser as promql
import pytest

# Grafana's SDK needs Python 3.11; `evmon dashboards` says so, which is tested everywhere.
collect_ignore = (
    [] if sys.version_info >= (3, 11) else ["test_dashboards.py", "test_generated.py"]
)

ROOT = Path(__file__).parents[2]
VARIABLES = {
    "$__rate_interval": "10s",
    "$__interval": "1s",
    "$job": ".+",
    "$instance": ".+",
    "$destination": ".+",
    "$group": ".+",
}


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def dashboards():
    """The dashboards, by their uid."""
    files = (ROOT / "dashboards").glob("*.json")
    return {path.stem: json.loads(path.read_text("utf-8")) for path in files}


@pytest.fixture(scope="session")
def queries(dashboards):
    """Every query of a panel: dashboard, panel and PromQL as it stands."""
    return [
        (uid, panel["title"], target["expr"])
        for uid, dashboard in dashboards.items()
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


@pytest.fixture(scope="session")
def panels(dashboards):
    """Every panel with each of its targets."""
    return [
        (panel, target)
        for dashboard in dashboards.values()
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


@pytest.fixture(scope="session")
def notes(dashboards):
    """Every query of an annotation."""
    return [
        (uid, note["name"], note["expr"])
        for uid, dashboard in dashboards.items()
        for note in dashboard["annotations"]["list"]
    ]


@pytest.fixture(scope="session")
def plain():
    """Puts values in the place of a dashboard's variables."""

    def replace(expression):
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        assert "$" not in expression, expression
        return expression

    return replace


@pytest.fixture(scope="session")
def pasted():
    """The PromQL of the runbooks: page, expression."""
    found = []
    for page in sorted((ROOT / "docs" / "runbooks").glob("Evmon*.md")):
        for block in re.findall(
            r"```promql\n(.*?)```", page.read_text("utf-8"), re.DOTALL
        ):
            rule = block.startswith("#")
            parts = re.split(r"# \w+\n", block) if rule else block.splitlines()
            found += [(page.stem, part.strip()) for part in parts if part.strip()]
    return found


@pytest.fixture(scope="session")
def selectors():
    """Takes PromQL apart: its selectors, and the labels that it groups by."""

    def take_apart(expression):
        found, labels = [], set()
        _walk(promql.parse(expression), found, labels)
        return found, labels

    return take_apart


def _walk(node, found, labels):
    if isinstance(node, promql.MatrixSelector):
        node = node.vector_selector
    if isinstance(node, promql.VectorSelector):
        matchers = {m.name: m.value for m in node.matchers.matchers}
        name = node.name or matchers.pop("__name__", "")
        found.append((name, matchers))
        return
    modifier = getattr(node, "modifier", None)
    if isinstance(modifier, promql.AggModifier):
        labels.update(modifier.labels)
    elif modifier is not None and modifier.matching is not None:
        labels.update(modifier.matching.labels)
    for name in ("expr", "lhs", "rhs"):
        child = getattr(node, name, None)
        if child is not None:
            _walk(child, found, labels)
    for child in getattr(node, "args", ()):
        _walk(child, found, labels)
