"""The unit tests of the rules fail for every wrong rule (mutant) in this file."""

import re

import pytest
from tests.alerting import promtool
from tools.rule_tests.cases import rule_tests
from tools.rule_tests.missed_scrapes import RARE, missed_scrape_tests

from evmon import Thresholds
from evmon._alerting.promql import number
from evmon._alerting.rules import recording
from evmon._alerting.rules.recording import windowed
from evmon._alerting.rules_file import alerts, rules

# In a very short window some mutants do not differ from the rule.
LIMITS = Thresholds(
    window_seconds=300,
    cache_min_lookups=20,
    handler_errors_min_calls=20,
    batch_p95_min_runs=20,
)
HIT_RATIO = windowed(recording.HIT_RATIO, LIMITS)
CALLS = windowed(recording.CALLS_INCREASE, LIMITS)
FAILED = windowed(recording.FAILED_INCREASE, LIMITS)
RETRIES = windowed(recording.RETRIES_INCREASE, LIMITS)
BATCHES = windowed(recording.BATCHES_INCREASE, LIMITS)
BATCH_SECONDS = windowed(recording.BATCH_SECONDS_INCREASE, LIMITS)
BATCH_P95 = windowed(recording.BATCH_P95, LIMITS)
WINDOW = number(LIMITS.window_seconds)
RULES = rules(LIMITS)
TESTS = rule_tests(LIMITS, "rules.yaml")
MISSED = promtool.tests_by_alert(
    promtool.load(missed_scrape_tests(LIMITS, "rules.yaml"))
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tests():
    """The unit tests of each alert."""
    return promtool.tests_by_alert(promtool.load(TESTS))


@pytest.fixture
def fails(tests, tmp_path):
    """Returns whether unit tests of an alert fail; `case` selects one of each severity."""

    def run(groups, alert, case="", tests=tests):
        only = promtool.dump(promtool.only_alert(groups, alert))
        (tmp_path / "rules.yaml").write_text(only, "utf-8")
        chosen = [test for test in tests[alert]["tests"] if case in test["name"]]
        assert chosen
        text = promtool.dump({**tests[alert], "tests": chosen})
        (tmp_path / "tests.yaml").write_text(text, "utf-8")
        done = promtool.run("test", "rules", "tests.yaml", cwd=tmp_path)
        # Rules that cannot be parsed or evaluated fail as well, but prove nothing.
        assert 0 == done.returncode or "exp:" in done.stderr, done.stderr
        return done.returncode != 0

    return run


@pytest.fixture
def groups():
    """The rules, to be changed by the test."""
    return promtool.load(RULES)


def _named(groups, names):
    for group in groups["groups"]:
        for rule in group["rules"]:
            if rule.get("alert", rule.get("record")) in names:
                yield rule


CACHE, ERRORS = "EvmonCacheHitRateLow", "EvmonHandlerErrorsHigh"
SLOW, BATCH_P95_HIGH = "EvmonDiscoveryProcessingSlow", "EvmonDiscoveryBatchP95High"
GROWING, STALLED = "EvmonConsumerLagGrowing", "EvmonConsumerStalled"
QUEUE_GROWING = "EvmonDeadLetterQueueGrowing"
OR_ZERO = r"\nor 0 \* .*"
ANY_AGE = (rf"< {WINDOW}\b", "< 86400")
NO_GUARD = (r"\nand [\s\S]*", "")

MUTANTS = [
    # name of the rule (or rules), pattern, replacement, alert whose tests must fail
    (HIT_RATIO, r"increase\(", "delta(", CACHE),
    ((CALLS, FAILED), *ANY_AGE, ERRORS),
    ((CALLS, FAILED), r".* and on .*\n?or ", "", ERRORS),
    (STALLED, r"unless on \(messaging[^)]*\) \S+ > 0\n", "", STALLED),
    (STALLED, r"\nunless on \(messaging[^)]*\) \([\s\S]*", "", STALLED),
    (GROWING, r"\nand \S+ > \S+ offset .*", "", GROWING),
    (GROWING, rf"and \S+ >= {LIMITS.lag_min_events}\n", "", GROWING),
    ("EvmonConsumerLagOld", "max by", "min by", "EvmonConsumerLagOld"),
    ("EvmonLagUnknown", "max by", "min by", "EvmonLagUnknown"),
    ("EvmonPendingOld", r"\n- [\s\S]* >", " >", "EvmonPendingOld"),
    ("EvmonTargetDown", *NO_GUARD, "EvmonTargetDown"),
    ("EvmonTargetFlapping", r"and on [\s\S]*", "", "EvmonTargetFlapping"),
    ("EvmonServiceAbsent", r"\(up or \w+\)", "(up)", "EvmonServiceAbsent"),
    ("EvmonServiceAbsent", r"\(up or ", "(", "EvmonServiceAbsent"),
    ("EvmonCardinalityOverflow", r"evmon_\.\+\|", "", "EvmonCardinalityOverflow"),
    ("EvmonCardinalityOverflow", r"\|messaging_\.\+", "", "EvmonCardinalityOverflow"),
    ("EvmonCardinalityOverflow", r",otel\w+!=\"\"", "", "EvmonCardinalityOverflow"),
    ("EvmonCardinalityOverflow", *NO_GUARD, "EvmonCardinalityOverflow"),
    ("EvmonMemoryHigh", *NO_GUARD, "EvmonMemoryHigh"),
    (recording.CALLS, OR_ZERO, "", ERRORS),
    (recording.FAILED_CALLS, OR_ZERO, "", ERRORS),
    (recording.BATCHES, OR_ZERO, "", SLOW),
    (recording.BATCH_SECONDS, OR_ZERO, "", SLOW),
    (BATCHES, r"increase\(", "delta(", SLOW),
    (BATCH_SECONDS, r"increase\(", "delta(", SLOW),
    (BATCH_P95, r"increase\(", "delta(", BATCH_P95_HIGH),
    ((BATCHES, BATCH_SECONDS), *ANY_AGE, SLOW),
    (BATCHES, r".* and on .*\nor ", "", SLOW),
    (BATCH_SECONDS, r".* and on .*\nor ", "", SLOW),
    (BATCH_P95, r".* and on .*\nor ", "", BATCH_P95_HIGH),
    (CACHE, rf">= {LIMITS.cache_min_lookups}", ">= 11", CACHE),
    (ERRORS, rf">= {LIMITS.handler_errors_min_calls}", ">= 11", ERRORS),
    (BATCH_P95_HIGH, rf">= {LIMITS.batch_p95_min_runs}", ">= 11", BATCH_P95_HIGH),
    (RETRIES, *ANY_AGE, "EvmonRetriesHigh"),
    (RETRIES, r".* and on .*\nor ", "", "EvmonRetriesHigh"),
    (RETRIES, r"last_over_time", "1.1 * last_over_time", "EvmonRetriesHigh"),
    ("EvmonRetriesExhausted", *ANY_AGE, "EvmonRetriesExhausted"),
    ("EvmonDeadLettersGrowing", r"{.*?}", "", "EvmonDeadLettersGrowing"),
    ("EvmonUnknownEventTypes", r"{.*?}", "", "EvmonUnknownEventTypes"),
    (QUEUE_GROWING, r"\n- on [\s\S]*\nor ", "\nor ", QUEUE_GROWING),
    (QUEUE_GROWING, r"last_over_time", "1.1 * last_over_time", QUEUE_GROWING),
    ("EvmonEventsLost", *ANY_AGE, "EvmonEventsLost"),
    ("EvmonDiscoveryFailed", r"{.*?}", "", "EvmonDiscoveryFailed"),
]


@pytest.mark.parametrize(
    ("name", "pattern", "replacement", "alert"),
    MUTANTS,
    ids=[f"{alert}-{number}" for number, (*_, alert) in enumerate(MUTANTS)],
)
def test_the_unit_tests_fail_for_a_wrong_expression(
    fails, groups, name, pattern, replacement, alert
):
    for rule in _named(groups, [name] if isinstance(name, str) else name):
        expr, count = re.subn(pattern, replacement, rule["expr"])
        assert count, rule["expr"]
        rule["expr"] = expr

    assert fails(groups, alert)


GAUGE_ALERTS = [
    "EvmonCardinalityOverflow",
    "EvmonConsumerLagOld",
    "EvmonDeadLetterQueueOld",
    "EvmonDiscoveryFailed",
    "EvmonLagUnknown",
    "EvmonMemoryHigh",
    "EvmonNotReady",
    "EvmonPendingOld",
    "EvmonPublisherBufferFull",
]


@pytest.mark.parametrize("alert", GAUGE_ALERTS)
def test_the_unit_tests_fail_for_an_alert_on_the_value_of_the_last_scrape(
    fails, groups, alert
):
    for rule in _named(groups, [alert]):
        rule["expr"], count = re.subn(
            r"last_over_time\(([^\[]+)\[4m\]\)", r"\1", rule["expr"]
        )
        assert count, rule["expr"]

    assert fails(groups, alert, str(RARE), MISSED)


ALERTS_WITH_FOR = sorted({alert.name for alert in alerts(LIMITS) if alert.hold_seconds})


@pytest.mark.parametrize("alert", ALERTS_WITH_FOR)
@pytest.mark.parametrize("duration", [None, "15m"])
def test_the_unit_tests_fail_for_a_wrong_duration(fails, groups, alert, duration):
    for rule in _named(groups, [alert]):
        del rule["for"]
        if duration:
            rule["for"] = duration

    assert fails(groups, alert, "fires after its time and not before")


def test_the_unit_tests_pass_for_the_generated_rules(fails, groups):
    for alert in (ERRORS, STALLED):
        assert not fails(groups, alert)
