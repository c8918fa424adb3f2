"""The rules, by the tools that read them."""

import subprocess

import pytest
import yaml
from tools.generate import generated

from evmon import ConfigError, Thresholds
from evmon._alerting.dashboards.boards import boards
from evmon._alerting.promql import number, series
from evmon._alerting.rules_file import DEFAULTS, RuleOptions, alerts, annotations, rules

PINNED = Thresholds(
    window_seconds=300,
    cache_hit_rate_warning_percent=50,
    cache_min_lookups=20,
    processing_warning_ms=1000,
    processing_min_runs=1,
    handler_errors_warning_percent=5,
    handler_errors_critical_percent=50,
    handler_errors_min_calls=20,
    retries_warning=10,
    drain_warning_seconds=600,
    lag_min_events=100,
    pending_age_warning_seconds=300,
    pending_age_critical_seconds=3600,
)
"""Limits of the tests that say numbers, whatever the defaults are."""

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


def _run(*command, **options):
    return subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=False, **options
    )


def test_promtool_finds_the_rules_right(root):
    done = _run("promtool", "check", "rules", str(root / "alerts/evmon-rules.yaml"))

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "limits", [Thresholds(), LARGER, SMALLER], ids=["defaults", "larger", "smaller"]
)
def test_every_alert_fires_and_clears_as_it_should(tmp_path, root, limits):
    for path, text in generated(root, limits):
        if path.parent.name == "alerts":
            (tmp_path / path.name).write_text(text, "utf-8")

    done = _run("promtool", "test", "rules", "evmon-rules.test.yaml", cwd=tmp_path)

    assert 0 == done.returncode, done.stdout + done.stderr


def test_every_alert_has_all_of_its_cases(root):
    tests = yaml.safe_load((root / "alerts/evmon-rules.test.yaml").read_text("utf-8"))
    names = [test["name"] for test in tests["tests"]]

    for alert in alerts(Thresholds()):
        cases = [n for n in names if n.startswith(f"{alert.name} ({alert.severity}) ")]
        text = " ".join(cases)
        for case in ("fires after", "just within", "restart", "several"):
            assert case in text, (alert.name, case)
        for quiet in alert.quiet:
            assert f"is silent {quiet.what}" in text


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
        assert notes["description"].endswith(".")
    for alert in alerts(Thresholds()):
        if alert.op != "==":
            description = annotations(alert, DEFAULTS)["description"]
            assert "$value" in description
            assert f"the limit is {number(alert.limit)}{alert.unit}." in description


def test_an_alert_leads_to_the_dashboard_that_shows_its_metric():
    for alert in alerts(Thresholds()):
        address = annotations(alert, DEFAULTS)["dashboard_url"]
        shown = {
            board.uid
            for board in boards(Thresholds())
            if alert.metric and board.shows(series(alert.metric))
        }

        assert not shown or any(f"/d/{uid}?" in address for uid in shown), alert.name
        assert ("var-instance=" in address) is ("instance" in alert.by), alert.name


def test_addresses_can_be_ones_own():
    own = RuleOptions(runbooks="http://wiki/run", grafana="http://graphs")
    text = rules(Thresholds(), own)

    assert "runbook_url: http://wiki/run/EvmonMemoryHigh.md" in text
    assert "dashboard_url: http://graphs/d/evmon-overview" in text


def test_the_operator_gets_the_same_rules_in_its_own_wrapping():
    plain = yaml.safe_load(rules(Thresholds()))
    wrapped = yaml.safe_load(rules(Thresholds(), form="operator"))

    assert "PrometheusRule" == wrapped["kind"]
    assert "monitoring.coreos.com/v1" == wrapped["apiVersion"]
    assert wrapped["spec"] == plain


GROUP = 'instance="a",messaging_destination_name="s",messaging_consumer_group_name="s"'
CONSUMED = "messaging_client_consumed_messages_total"
CALLS = "messaging_process_duration_seconds_count"


@pytest.fixture
def promtool(tmp_path):
    """Lets minutes pass over series of a job, and counts the alerts that fire then."""

    def check(series, minutes, alert, count, labels=()):
        (tmp_path / "rules.yaml").write_text(rules(PINNED, RuleOptions(labels=labels)))
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
            yaml.safe_dump(
                {
                    "rule_files": ["rules.yaml"],
                    "group_eval_order": ["evmon.rules", "evmon.alerts"],
                    "tests": [test],
                }
            )
        )
        done = _run("promtool", "test", "rules", "tests.yaml", cwd=tmp_path)
        assert 0 == done.returncode, done.stdout + done.stderr

    return check


@pytest.mark.slow
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
    # It is a warning after five minutes, and critical beyond an hour.
    promtool(series, 4, "EvmonPendingOld", 0)
    promtool(series, 7, "EvmonPendingOld", 2 * count)


def test_the_last_of_an_old_backlog_are_nothing_that_hangs(promtool):
    series = {
        f"evmon_consumer_pending_oldest_age_seconds{{{GROUP}}}": "7000x10 7000x3 0x9",
        f"evmon_consumer_unread_oldest_age_seconds{{{GROUP}}}": "7000x10 0x3 0x9",
    }
    for minutes in range(10, 20):
        promtool(series, minutes, "EvmonPendingOld", 0)


def test_a_cache_that_is_filled_at_the_start_is_no_alert(promtool):
    series = {
        'evmon_cache_lookups_total{instance="a",evmon_cache_result="hit"}': "0x20",
        'evmon_cache_lookups_total{instance="a",evmon_cache_result="miss"}': "0 40x20",
    }
    for minutes in (4, 6, 8):
        promtool(series, minutes, "EvmonCacheHitRateLow", 0)


SECONDS = 'evmon_discovery_batch_duration_seconds_sum{instance="a"}'
BATCHES = 'evmon_discovery_batch_duration_seconds_count{instance="a"}'


def test_a_slow_discovery_before_the_first_scrape_is_an_alert(promtool):
    series = {
        BATCHES: "_x20 1x80",
        SECONDS: "_x20 30x80",
        'evmon_discovery_queue_size{instance="a"}': "_x20 0x80",
        'evmon_uptime_seconds{instance="a"}': "_x20 10+60x80",
    }
    promtool(series, 22, "EvmonDiscoveryProcessingSlow", 1)
    promtool(series, 27, "EvmonDiscoveryProcessingSlow", 0)


@pytest.mark.parametrize(("retries", "count"), [(10, 0), (11, 1)])
@pytest.mark.parametrize("first", [0, 3])
def test_retries_are_counted_to_the_event(promtool, retries, count, first):
    name = 'evmon_retry_attempts_total{instance="a",error_type="X"}'
    series = {
        'evmon_retry_attempts_total{instance="a",error_type=""}': "0x30",
        # In two parts, at a slow scrape: `increase` would make more of it.
        name: f"0x9 {first}x1 {retries}x20",
        'evmon_uptime_seconds{instance="a"}': "9000+60x30",
    }
    promtool(series, 13, "EvmonRetriesHigh", count)


def test_many_processes_with_few_calls_each_are_one_service_that_fails(promtool):
    calls = {
        f'{CALLS}{{instance="{n}",evmon_handler_name="h",error_type="{error}"}}': values
        for n in range(12)
        for error, values in (("", "0x30"), ("X", "0x9 15x20"))
    }
    promtool(calls, 12, "EvmonHandlerErrorsHigh", 24)


def test_one_failed_call_in_a_busy_service_is_no_alert(promtool):
    of = 'evmon_handler_name="h",error_type='
    calls = {
        f'{CALLS}{{instance="a",{of}"X"}}': "0x9 1x20",
        f'{CALLS}{{instance="b",{of}""}}': "0+100x30",
        'evmon_events_in_flight{instance="a"}': "0x30",
        'evmon_events_in_flight{instance="b"}': "0x30",
    }
    promtool(calls, 12, "EvmonHandlerErrorsHigh", 0)


def test_providers_given_up_stay_an_alert_until_the_process_restarts(promtool):
    name = 'evmon_discovery_providers_total{instance="a",evmon_discovery_outcome='
    series = {f'{name}"failed"}}': "0x5 1x60 0x10"}
    for minutes, count in ((5, 0), (8, 1), (60, 1), (68, 0)):
        promtool(series, minutes, "EvmonDiscoveryFailed", count)


def test_without_a_service_of_evmon_nothing_is_absent(promtool):
    promtool({'up{instance="a"}': "0x30"}, 20, "EvmonServiceAbsent", 0)


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
