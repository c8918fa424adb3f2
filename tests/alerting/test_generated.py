"""One source, many outputs: one changed number changes all of them together."""

import dataclasses
import re

import pytest
from tools.alertmanager import alertmanager
from tools.generate import generated

from evmon import Thresholds


def test_the_files_of_the_repository_are_fresh(root):
    stale = [str(p) for p, text in generated(root) if p.read_text("utf-8") != text]

    assert [] == stale


def test_one_changed_limit_changes_rules_tests_dashboard_runbook_and_tables(root):
    limits = dataclasses.replace(Thresholds(), memory_warning_mb=123.0)
    before = {p.relative_to(root): text for p, text in generated(root)}
    after = {p.relative_to(root): text for p, text in generated(root, limits)}

    changed = {str(path) for path in after if after[path] != before[path]}

    assert {
        "alerts/evmon-rules.yaml",
        "alerts/evmon-rules.test.yaml",
        "dashboards/evmon-overview.json",
        "docs/alerting.md",
        "docs/runbooks/README.md",
        "docs/runbooks/EvmonMemoryHigh.md",
        "docs/telemetry.md",
    } == changed
    for path in changed:
        assert "123" in after[next(p for p in after if str(p) == path)]


@pytest.mark.slow
@pytest.mark.parametrize("field", dataclasses.fields(Thresholds), ids=lambda f: f.name)
def test_every_limit_is_used_by_the_rules(root, field):
    value = getattr(Thresholds(), field.name)
    changed = dataclasses.replace(Thresholds(), **{field.name: value + 1})
    rules = root / "alerts" / "evmon-rules.yaml"

    assert dict(generated(root))[rules] != dict(generated(root, changed))[rules]


def test_no_other_module_repeats_a_limit(root):
    suspicious = re.compile(r"\b(86_?400|1800|3600)(\.0)?\b")
    modules = (root / "src" / "evmon" / "_alerting").rglob("*.py")

    found = {
        path.name: suspicious.findall(path.read_text("utf-8"))
        for path in modules
        if path.name != "limits.py"  # units of time
    }

    assert not any(found.values()), found


def test_every_alert_has_a_runbook_and_every_runbook_an_alert(root):
    from evmon._alerting.rules_file import names

    pages = {p.stem for p in (root / "docs" / "runbooks").glob("Evmon*.md")}

    assert set(names(Thresholds())) == pages


def test_every_runbook_has_all_sections(root):
    wanted = ["Meaning", "Impact", "Diagnosis", "Fix", "Silence", "Tune"]

    for page in (root / "docs" / "runbooks").glob("Evmon*.md"):
        assert (
            re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE) == wanted
        ), page


def test_the_secret_of_the_chat_is_read_from_a_file():
    assert "slack_api_url_file: /run/secrets/chat" in alertmanager("/run/secrets/chat")
    assert "https://" not in alertmanager()
