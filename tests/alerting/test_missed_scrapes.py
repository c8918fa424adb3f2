"""Every alert, with scrapes each 15 s and each 60 s of which some fail."""

import pytest
from tests.alerting import promtool
from tools.rule_tests.missed_scrapes import PATTERNS, missed_scrape_tests

from evmon import Thresholds
from evmon._alerting.rules_file import alerts, rules

LIMITS = Thresholds()
ABOUT_SCRAPES = {"EvmonTargetFlapping", "EvmonServiceAbsent", "EvmonRestarting"}
"""Alerts that test_targets.py tests with failing scrapes."""

TESTS = promtool.tests_by_alert(promtool.load(missed_scrape_tests(LIMITS, "r.yaml")))


def test_every_alert_is_tested_with_every_pattern_of_scrapes():
    every = {alert.name for alert in alerts(LIMITS)}

    assert every - ABOUT_SCRAPES == TESTS.keys()
    for tests in TESTS.values():
        names = " ".join(test["name"] for test in tests["tests"])
        assert [] == [p for p in PATTERNS if f"fires {p}" not in names]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("alert", TESTS)
def test_an_alert_fires_and_stays_over_failed_scrapes(alert, tmp_path):
    only = promtool.only_alert(promtool.load(rules(LIMITS)), alert)
    (tmp_path / "rules.yaml").write_text(promtool.dump(only), "utf-8")
    tests = {**TESTS[alert], "rule_files": ["rules.yaml"]}
    (tmp_path / "tests.yaml").write_text(promtool.dump(tests), "utf-8")

    done = promtool.run("test", "rules", "tests.yaml", cwd=tmp_path)

    assert 0 == done.returncode, done.stdout + done.stderr
