"""The generated files are up to date and all use the same limits."""

import dataclasses
import re

import pytest
from tools.generate import generated, main
from tools.rule_tests.cases import rule_tests

from evmon import Thresholds
from evmon._alerting.alertmanager import alertmanager
from evmon._alerting.rules_file import alerts, rules


def test_the_committed_files_are_up_to_date(root):
    stale = [str(p) for p, text in generated(root) if p.read_text("utf-8") != text]

    assert [] == stale


def test_a_changed_limit_changes_rules_dashboard_runbook_and_tables(root):
    limits = dataclasses.replace(Thresholds(), memory_warning_mb=123.0)
    before = {p.relative_to(root): text for p, text in generated(root)}
    after = {p.relative_to(root): text for p, text in generated(root, limits)}

    changed = {str(path) for path in after if after[path] != before[path]}

    assert {
        "alerts/evmon-rules.yaml",
        "dashboards/evmon-overview.json",
        "docs/alerting.md",
        "docs/runbooks/README.md",
        "docs/runbooks/EvmonMemoryHigh.md",
        "docs/telemetry.md",
    } == changed
    for path in changed:
        assert "123" in after[next(p for p in after if str(p) == path)]


def test_a_changed_limit_changes_the_unit_tests_of_the_rules():
    limits = dataclasses.replace(Thresholds(), memory_warning_mb=123.0)

    assert "the limit is 123MB" in rule_tests(limits, "rules.yaml")
    assert "the limit is 123MB" not in rule_tests(Thresholds(), "rules.yaml")


@pytest.mark.parametrize("field", dataclasses.fields(Thresholds), ids=lambda f: f.name)
def test_every_limit_is_used_by_the_rules(field):
    value = getattr(Thresholds(), field.name)
    changed = dataclasses.replace(Thresholds(), **{field.name: value + 1})

    assert rules(Thresholds()) != rules(changed)


def test_generate_writes_only_what_has_changed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "page.md"
    page.write_text("# Page\n\n<!-- made: limits -->\nold\n<!-- end -->\n", "utf-8")

    assert 1 == main(["--check"])
    assert "docs/page.md" in capsys.readouterr().err
    assert "old" in page.read_text("utf-8")
    assert 0 == main([])
    assert "docs/page.md" in capsys.readouterr().out
    assert "memory_warning_mb" in page.read_text("utf-8")
    assert 0 == main([])
    assert "" == capsys.readouterr().out
    assert 0 == main(["--check"])


def test_generate_rejects_an_unknown_argument(capsys):
    with pytest.raises(SystemExit):
        main(["--chek"])

    assert "--chek" in capsys.readouterr().err


def test_only_thresholds_contains_limits(root):
    suspicious = re.compile(r"\b(86_?400|1800|3600)(\.0)?\b")
    modules = (root / "src" / "evmon" / "_alerting").rglob("*.py")

    found = {
        path.name: suspicious.findall(path.read_text("utf-8"))
        for path in modules
        if path.name != "limits.py"  # units of time
    }

    assert not any(found.values()), found


def test_every_alert_has_a_runbook_and_every_runbook_an_alert(root):
    pages = {p.stem for p in (root / "docs" / "runbooks").glob("Evmon*.md")}

    assert pages == {alert.name for alert in alerts(Thresholds())}


def test_every_runbook_has_all_sections(root):
    wanted = ["Meaning", "Impact", "Diagnosis", "Fix", "Silence", "Tune"]

    for page in (root / "docs" / "runbooks").glob("Evmon*.md"):
        found = re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE)
        assert wanted == found, page


def test_the_webhook_url_is_read_from_a_file():
    assert "slack_api_url_file: /run/secrets/chat" in alertmanager(
        slack_url_file="/run/secrets/chat"
    )
    assert "https://" not in alertmanager()
