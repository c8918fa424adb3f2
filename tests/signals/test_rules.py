"""The rules, by the tools that read them."""

import subprocess

import pytest
import yaml

from evmon import ConfigError, Thresholds
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


GROUP = 'instance="a",messaging_destination_name="s",messaging_consumer_group_name="s"'
CONSUMED = "messaging_client_consumed_messages_total"
CALLS = "messaging_process_duration_seconds_count"


@pytest.fixture
def promtool(tmp_path):
    """Lets minutes pass over series of a job, and counts the alerts that fire then."""

    def check(series, minutes, alert, count, labels=()):
        (tmp_path / "rules.yaml").write_text(
            rules(Thresholds(), RuleOptions(labels=labels))
        )
        given = [
            {"series": name.replace("{", '{job="shop",', 1), "values": values}
            for name, values in series.items()
        ]
        firing = f'count(ALERTS{{alertstate="firing",alertname="{alert}"}})'
        query = {
            "expr": f"{firing} or vector(0)",
            "eval_time": f"{minutes}m",
            "exp_samples": [{"labels": "{}", "value": count}],
        }
        test = {"interval": "1m", "input_series": given, "promql_expr_test": [query]}
        (tmp_path / "tests.yaml").write_text(
            yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]})
        )
        done = _run("promtool", "test", "rules", "tests.yaml", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr

    return check


def test_a_target_that_is_down_for_days_stays_an_alert(promtool):
    series = {
        'up{instance="a"}': "1x60 0x3000",
        'evmon_discovery_handlers{instance="a"}': "3x60 stale",
    }
    promtool(series, 50 * 60, "EvmonTargetDown", 1)


def test_other_programs_that_measure_alike_raise_nothing(promtool):
    failed = f'{CALLS}{{instance="j",error_type="X"}}'
    series = {f'{CALLS}{{instance="j"}}': "0+10x20", failed: "0+15x20"}
    promtool(series, 20, "EvmonHandlerErrorsHigh", 0)


def test_a_burst_that_is_worked_off_is_no_growing_lag(promtool):
    series = {
        f"evmon_consumer_lag{{{GROUP}}}": "0x10 1100-110x9 0x20",
        f"{CONSUMED}{{{GROUP}}}": "0x10 0+110x9 1100x20",
    }
    for minutes in (12, 13, 14, 15):
        promtool(series, minutes, "EvmonConsumerLagGrowing", 0)


@pytest.mark.parametrize(("unread", "count"), [("6900x10", 0), ("60x10", 1)])
def test_what_waited_unread_is_not_held_for_long(promtool, unread, count):
    series = {
        f"evmon_consumer_pending_oldest_age_seconds{{{GROUP}}}": "7000x10",
        f"evmon_consumer_unread_oldest_age_seconds{{{GROUP}}}": unread,
    }
    promtool(series, 10, "EvmonPendingOld", 2 * count)


def test_a_cache_that_is_filled_at_the_start_is_no_alert(promtool):
    series = {
        'evmon_cache_lookups_total{instance="a",evmon_cache_result="hit"}': "0x20",
        'evmon_cache_lookups_total{instance="a",evmon_cache_result="miss"}': "0 40x20",
    }
    for minutes in (4, 6, 8):
        promtool(series, minutes, "EvmonCacheHitRateLow", 0)


@pytest.mark.parametrize(("labels", "count"), [(("namespace",), 1), ((), 0)])
def test_services_of_one_job_name_are_told_apart_by_labels(promtool, labels, count):
    series = {
        f'evmon_consumer_lag{{namespace="prod",{GROUP}}}': "500x20",
        f'evmon_consumer_lag{{namespace="test",{GROUP}}}': "0x20",
        f'{CONSUMED}{{namespace="prod",{GROUP}}}': "9x20",
        f'{CONSUMED}{{namespace="test",{GROUP}}}': "0+1x20",
    }
    promtool(series, 15, "EvmonConsumerStalled", count, labels)


def test_a_label_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="must be the name of a label"):
        RuleOptions(labels=("name space",))
