"""Fixtures of the tests of rules and dashboards."""

import functools
import json
import re
import sys
from pathlib import Path

import promql_parser as promql
import pytest
from tests.alerting import scenario

# Grafana's SDK needs Python 3.11; test_commands.py tests the message without it.
collect_ignore = (
    [] if sys.version_info >= (3, 11) else ["test_dashboards.py", "test_generated.py"]
)

ROOT = Path(__file__).parents[2]
VARIABLES = {
    "$__rate_interval": "10s",
    "$__interval": "1s",
    "$cluster": ".*",
    "$namespace": ".*",
    "$job": ".+",
    "$instance": ".+",
    "$bus": ".*",
    "$destination": ".+",
    "$group": ".+",
}


@pytest.fixture(scope="session")
def root():
    """The root directory of the repository."""
    return ROOT


@pytest.fixture
def check(tmp_path):
    """Checks how many alerts of a name fire after each number of minutes."""
    return functools.partial(scenario.check, tmp_path)


@pytest.fixture(scope="session")
def dashboards():
    """The committed dashboards by uid."""
    files = (ROOT / "dashboards").glob("*.json")
    return {path.stem: json.loads(path.read_text("utf-8")) for path in files}


@pytest.fixture(scope="session")
def queries(dashboards):
    """Every panel query: uid of the dashboard, title of the panel, PromQL."""
    return [
        (uid, panel["title"], target["expr"])
        for uid, dashboard in dashboards.items()
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


@pytest.fixture(scope="session")
def panels(dashboards):
    """Every pair of a panel and one of its targets."""
    return [
        (panel, target)
        for dashboard in dashboards.values()
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


@pytest.fixture(scope="session")
def annotation_queries(dashboards):
    """Every annotation query: uid of the dashboard, name, PromQL."""
    return [
        (uid, annotation["name"], annotation["expr"])
        for uid, dashboard in dashboards.items()
        for annotation in dashboard["annotations"]["list"]
    ]


@pytest.fixture(scope="session")
def without_variables():
    """Replaces the dashboard variables of a query by values."""

    def replace(expression):
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        assert "$" not in expression, expression
        return expression

    return replace


@pytest.fixture(scope="session")
def runbook_queries():
    """The PromQL in the runbooks: name of the page, expression."""
    found = []
    for page in sorted((ROOT / "docs" / "runbooks").glob("Evmon*.md")):
        for block in re.findall(
            r"```promql\n(.*?)```", page.read_text("utf-8"), re.DOTALL
        ):
            is_rule = block.startswith("#")
            parts = re.split(r"# \w+\n", block) if is_rule else block.splitlines()
            found += [(page.stem, part.strip()) for part in parts if part.strip()]
    return found


@pytest.fixture(scope="session")
def parse_promql():
    """Returns the selectors of an expression, and the labels it groups or matches by."""

    def parse(expression):
        found, labels = [], set()
        _walk(promql.parse(expression), found, labels)
        return found, labels

    return parse


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
