"""The rules, checked and tested with promtool."""

import json

import pytest
import yaml
from tests.alerting import promtool
from tools.rule_tests.cases import rule_tests
from tools.rule_tests.subjects import alert_data, subjects

from evmon import ConfigError, Thresholds
from evmon._alerting.dashboards.boards import boards
from evmon._alerting.promql import number
from evmon._alerting.rules_file import DEFAULTS, RuleOptions, alerts, annotations, rules

LARGER = Thresholds(
    window_seconds=600,
    memory_warning_mb=150,
    processing_warning_ms=1500,
    retries_warning=15,
    cache_hit_rate_warning_percent=60,
    cache_hit_rate_critical_percent=30,
    handler_errors_warning_percent=7,
    handler_errors_min_calls=33,
    pending_age_warning_seconds=450,
    processing_min_runs=3,
)
SMALLER = Thresholds(
    window_seconds=60,
    memory_warning_mb=33.3,
    processing_warning_ms=700,
    retries_warning=0,
    cache_hit_rate_warning_percent=7,
    handler_errors_warning_percent=1,
    drain_warning_seconds=60,
    lag_min_events=7,
    dead_letter_age_warning_seconds=60,
)


def test_promtool_accepts_the_committed_rules(root):
    done = promtool.run("check", "rules", str(root / "alerts/evmon-rules.yaml"))

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "limits", [Thresholds(), LARGER, SMALLER], ids=["defaults", "larger", "smaller"]
)
def test_the_rules_pass_their_unit_tests(tmp_path, limits):
    whole = promtool.load(rules(limits))
    tests = promtool.tests_by_alert(promtool.load(rule_tests(limits, "rules.yaml")))
    for alert, some in tests.items():
        only = promtool.only_alert(whole, alert)
        (tmp_path / f"{alert}.yaml").write_text(promtool.dump(only), "utf-8")
        text = promtool.dump({**some, "rule_files": [f"{alert}.yaml"]})
        (tmp_path / f"{alert}.test.yaml").write_text(text, "utf-8")

    files = [f"{alert}.test.yaml" for alert in tests]
    done = promtool.run("test", "rules", *files, cwd=tmp_path)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert {alert.name for alert in alerts(limits)} == set(tests)


@pytest.mark.parametrize("limits", [Thresholds(), LARGER, SMALLER])
def test_every_alert_has_test_data_and_all_test_data_has_an_alert(limits):
    ruled = [(alert.name, alert.severity) for alert in alerts(limits)]

    assert len(ruled) == len(set(ruled))
    assert set(ruled) == alert_data(limits).keys()


def test_every_alert_has_all_of_its_unit_tests():
    tests = promtool.load(rule_tests(Thresholds(), "rules.yaml"))["tests"]
    names = [test["name"] for test in tests]

    for subject in subjects(Thresholds()):
        prefix = f"{subject.alert.name} ({subject.alert.severity}) "
        own = " ".join(name for name in names if name.startswith(prefix))
        for case in ("fires after", "just within", "restart", "several"):
            assert case in own, (prefix, case)
        for silent in subject.data.silent:
            assert f"is silent {silent.case}" in own


def test_every_alert_has_severity_summary_description_and_links():
    groups = yaml.safe_load(rules(Thresholds()))["groups"]
    found = [rule for group in groups for rule in group["rules"] if "alert" in rule]

    assert found
    for rule in found:
        assert rule["labels"]["severity"] in ("warning", "critical")
        found_annotations = rule["annotations"]
        assert found_annotations["summary"]
        assert found_annotations["runbook_url"].endswith(f"/{rule['alert']}.md")
        assert "/d/evmon-" in found_annotations["dashboard_url"]
        assert found_annotations["description"].endswith(".")
    for alert in alerts(Thresholds()):
        if alert.value_name:
            description = annotations(alert, DEFAULTS)["description"]
            assert "$value" in description
            assert f"the limit is {number(alert.limit)}{alert.unit}." in description


def test_every_alert_links_to_a_panel_of_its_own():
    panels = {
        f"{board.uid}?viewPanel={panel_id}": panel
        for board in boards(Thresholds())
        for _, _, numbered in board.numbered_rows()
        for panel_id, panel in numbered
    }
    for alert in alerts(Thresholds()):
        address = annotations(alert, DEFAULTS)["dashboard_url"]
        view, *variables = address.partition("/d/")[2].split("&")

        assert alert.name in panels[view].alerts
        assert ("var-instance=" in address) is ("instance" in alert.by), alert.name
        assert all(part.startswith("var-") for part in variables)


def test_the_ids_of_panels_are_those_of_the_committed_dashboards(root):
    for board in boards(Thresholds()):
        text = (root / "dashboards" / f"{board.uid}.json").read_text("utf-8")
        committed = {p["id"]: p["title"] for p in json.loads(text)["panels"]}
        for _, _, numbered in board.numbered_rows():
            for panel_id, panel in numbered:
                assert panel.title == committed[panel_id]


def test_an_additional_label_selects_the_service_in_the_dashboard():
    text = rules(Thresholds(), RuleOptions(labels=("namespace",)))

    assert "&var-namespace={{ $labels.namespace | urlquery }}&var-job=" in text


def test_urls_of_runbooks_and_grafana_can_be_changed():
    own = RuleOptions(runbooks="http://wiki/run", grafana="http://graphs")
    text = rules(Thresholds(), own)

    assert "runbook_url: http://wiki/run/EvmonMemoryHigh.md" in text
    assert "dashboard_url: http://graphs/d/evmon-overview" in text


def test_the_prometheus_rule_contains_the_same_rules():
    plain = yaml.safe_load(rules(Thresholds()))
    wrapped = yaml.safe_load(rules(Thresholds(), form="operator"))

    assert "PrometheusRule" == wrapped["kind"]
    assert "monitoring.coreos.com/v1" == wrapped["apiVersion"]
    assert plain == wrapped["spec"]


@pytest.mark.parametrize("name", sorted({alert.name for alert in alerts(Thresholds())}))
def test_the_other_rules_stay_the_same_without_an_alert(name):
    groups = promtool.load(rules(Thresholds()))["groups"]
    fewer = promtool.load(rules(Thresholds(), RuleOptions(without=(name,))))["groups"]

    for group in groups:
        group["rules"] = [r for r in group["rules"] if r.get("alert") != name]
    assert groups == fewer


def test_an_invalid_label_name_is_rejected():
    with pytest.raises(ConfigError, match="must be the name of a label"):
        RuleOptions(labels=("name space",))
