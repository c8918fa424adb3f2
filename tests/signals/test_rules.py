"""The rules, by the tools that read them."""

import subprocess

import pytest
import yaml

from evmon import Thresholds
from evmon._signals.rule_tests import rule_tests
from evmon._signals.rules import DEFAULTS, RuleOptions, alerts, rules

OTHER = Thresholds(
    window_seconds=120,
    memory_warning_mb=333,
    retries_warning=100,
    cache_hit_rate_warning_percent=70,
    processing_warning_ms=700,
    handler_errors_warning_percent=1,
    drain_warning_seconds=60,
    lag_min_events=7,
    dead_letter_age_warning_seconds=60,
)


def _run(*command, **options):
    return subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=False, **options
    )


def test_promtool_finds_the_rules_right(root):
    done = _run("promtool", "check", "rules", str(root / "alerts/evmon-rules.yaml"))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("limits", [Thresholds(), OTHER], ids=["defaults", "others"])
def test_every_alert_fires_and_clears_as_it_should(tmp_path, limits):
    (tmp_path / "rules.yaml").write_text(rules(limits), "utf-8")
    tests = rule_tests(limits, DEFAULTS, "rules.yaml")
    (tmp_path / "test.yaml").write_text(tests, "utf-8")

    done = _run("promtool", "test", "rules", "test.yaml", cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_unit_tests_notice_a_rule_that_is_wrong(tmp_path):
    broken = rules(Thresholds()).replace("evmon_cache_hit:", "evmon_cache_miss:", 1)
    (tmp_path / "rules.yaml").write_text(broken, "utf-8")
    tests = rule_tests(Thresholds(), DEFAULTS, "rules.yaml")
    (tmp_path / "test.yaml").write_text(tests, "utf-8")

    done = _run("promtool", "test", "rules", "test.yaml", cwd=tmp_path)

    assert done.returncode != 0
    assert "EvmonCacheHitRateLow" in done.stdout + done.stderr


def test_every_alert_has_all_of_its_cases(root):
    tests = yaml.safe_load((root / "alerts/evmon-rules.test.yaml").read_text("utf-8"))
    names = [test["name"] for test in tests["tests"]]

    for alert in alerts(Thresholds()):
        cases = [n for n in names if n.startswith(f"{alert.name} ({alert.severity}) ")]
        text = " ".join(cases)
        for case in ("fires", "just within", "restart", "several"):
            assert case in text, (alert.name, case)
        if alert.severity == "warning" and alert.guard and alert.quiet(1):
            assert "without traffic" in text


def test_every_alert_says_what_a_person_needs():
    groups = yaml.safe_load(rules(Thresholds()))["groups"]
    found = [rule for group in groups for rule in group["rules"] if "alert" in rule]

    assert found
    for rule in found:
        assert rule["labels"]["severity"] in ("warning", "critical")
        notes = rule["annotations"]
        assert notes["summary"]
        assert notes["runbook_url"].endswith(f"/{rule['alert']}.md")
        assert "/d/evmon-" in notes["dashboard_url"]
        if " == " not in rule["expr"].splitlines()[0]:
            assert "$value" in notes["description"] or "limit" not in notes


def test_addresses_can_be_ones_own():
    own = RuleOptions(runbooks="http://wiki/run", grafana="http://graphs")
    text = rules(Thresholds(), own)

    assert "runbook_url: http://wiki/run/EvmonMemoryHigh.md" in text
    assert "dashboard_url: http://graphs/d/evmon-overview" in text


def test_the_operator_gets_the_same_rules_in_its_own_wrapping():
    plain = yaml.safe_load(rules(Thresholds()))
    wrapped = yaml.safe_load(rules(Thresholds(), form="operator"))

    assert wrapped["kind"] == "PrometheusRule"
    assert wrapped["apiVersion"] == "monitoring.coreos.com/v1"
    assert wrapped["spec"] == plain
