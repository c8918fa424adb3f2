"""The rules' unit tests notice when a rule is wrong: every mutant here must fail them."""

import re
import subprocess

import pytest
import yaml
from tools.rule_tests.cases import rule_tests

from evmon import Thresholds
from evmon._alerting.promql import number
from evmon._alerting.rules import recording as r
from evmon._alerting.rules_file import DEFAULTS, alerts, rules

# A very short window leaves no time in which some of the mutants differ.
LIMITS = Thresholds(
    window_seconds=300,
    cache_min_lookups=20,
    handler_errors_min_calls=20,
    batch_p95_min_runs=20,
)
NAMES = r.Names.of(LIMITS)
WINDOW = number(LIMITS.window_seconds)
RULES = rules(LIMITS)
TESTS = rule_tests(LIMITS, DEFAULTS, "rules.yaml")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tests():
    """The unit tests of each alert, as text."""
    whole = yaml.load(TESTS, yaml.CSafeLoader)
    found = {}
    for test in whole.pop("tests"):
        found.setdefault(test["name"].partition(" (")[0], []).append(test)
    return {
        alert: yaml.dump({**whole, "tests": some}, Dumper=yaml.CSafeDumper)
        for alert, some in found.items()
    }


@pytest.fixture
def fails(tests, tmp_path):
    """Whether the unit tests of an alert find fault with rules."""

    def run(groups, alert):
        (tmp_path / "rules.yaml").write_text(yaml.safe_dump(groups), "utf-8")
        (tmp_path / "tests.yaml").write_text(tests[alert], "utf-8")
        done = subprocess.run(
            ["promtool", "test", "rules", "tests.yaml"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        # Rules that cannot be read or run would fail as well, and prove nothing.
        assert 0 == done.returncode or "exp:[" in done.stderr, done.stderr
        return done.returncode != 0

    return run


@pytest.fixture
def groups():
    """The rules, to be made wrong."""
    return yaml.load(RULES, yaml.CSafeLoader)


def _named(groups, names):
    for group in groups["groups"]:
        for rule in group["rules"]:
            if rule.get("alert", rule.get("record")) in names:
                yield rule


HIT, ERRORS = "EvmonCacheHitRateLow", "EvmonHandlerErrorsHigh"
SLOW, SOME_SLOW = "EvmonDiscoveryProcessingSlow", "EvmonDiscoveryBatchP95High"
GROWING, STALLED = "EvmonConsumerLagGrowing", "EvmonConsumerStalled"
FROM_START = r"\nor 0 \* .*"
YOUNG = (rf"< {WINDOW}\b", "< 86400")
GUARD = (r"\nand [\s\S]*", "")

MUTANTS = [
    # rule or rules, what is replaced, by what, alert that must notice
    (NAMES.hit_ratio, r"increase\(", "delta(", HIT),
    (NAMES.error_ratio, r"increase\(", "delta(", ERRORS),
    (STALLED, r"increase\(", "delta(", STALLED),
    (STALLED, r"== 0", "<= 4", STALLED),
    (STALLED, r"on \(job, [^)]*\)", "on (job)", STALLED),
    (GROWING, r"and \S+ > \S+ offset .*\n", "", GROWING),
    (GROWING, rf"\S+ >= {LIMITS.lag_min_events}\nand ", "", GROWING),
    (GROWING, r"\nand deriv.*", "", GROWING),
    ("EvmonConsumerLagOld", "max by", "min by", "EvmonConsumerLagOld"),
    ("EvmonLagUnknown", "max by", "min by", "EvmonLagUnknown"),
    ("EvmonPendingOld", r"\n- .* >", " >", "EvmonPendingOld"),
    ("EvmonTargetDown", *GUARD, "EvmonTargetDown"),
    ("EvmonServiceAbsent", r"\(up or \w+\)", "(up)", "EvmonServiceAbsent"),
    ("EvmonServiceAbsent", r"\(up or ", "(", "EvmonServiceAbsent"),
    ("EvmonCardinalityOverflow", r"evmon_\.\+\|", "", "EvmonCardinalityOverflow"),
    ("EvmonCardinalityOverflow", r"\|messaging_\.\+", "", "EvmonCardinalityOverflow"),
    ("EvmonCardinalityOverflow", r",otel\w+!=\"\"", "", "EvmonCardinalityOverflow"),
    ("EvmonCardinalityOverflow", *GUARD, "EvmonCardinalityOverflow"),
    ("EvmonMemoryHigh", *GUARD, "EvmonMemoryHigh"),
    (r.CALLS, FROM_START, "", ERRORS),
    (r.FAILED_CALLS, FROM_START, "", ERRORS),
    (r.BATCHES, FROM_START, "", SLOW),
    (r.BATCH_SECONDS, FROM_START, "", SLOW),
    (NAMES.batches, r"increase\(", "delta(", SLOW),
    (NAMES.batch_seconds, r"increase\(", "delta(", SLOW),
    (NAMES.batch_p95, r"increase\(", "delta(", SOME_SLOW),
    ((NAMES.batches, NAMES.batch_seconds), *YOUNG, SLOW),
    (NAMES.batches, r".* and on .*\nor ", "", SLOW),
    (NAMES.batch_seconds, r".* and on .*\nor ", "", SLOW),
    (NAMES.batch_p95, r".* and on .*\nor ", "", SOME_SLOW),
    (HIT, rf">= {LIMITS.cache_min_lookups}", ">= 11", HIT),
    (ERRORS, rf">= {LIMITS.handler_errors_min_calls}", ">= 11", ERRORS),
    (SOME_SLOW, rf">= {LIMITS.batch_p95_min_runs}", ">= 11", SOME_SLOW),
    ("EvmonRetriesHigh", *YOUNG, "EvmonRetriesHigh"),
    ("EvmonRetriesHigh", r".* and on .*\nor ", "", "EvmonRetriesHigh"),
    ("EvmonRetriesHigh", r"last_over_time", "1.1 * last_over_time", "EvmonRetriesHigh"),
    ("EvmonRetriesExhausted", *YOUNG, "EvmonRetriesExhausted"),
    ("EvmonDeadLettersGrowing", r"{.*?}", "", "EvmonDeadLettersGrowing"),
    ("EvmonUnknownEventTypes", r"{.*?}", "", "EvmonUnknownEventTypes"),
    ("EvmonEventsLost", *YOUNG, "EvmonEventsLost"),
    ("EvmonDiscoveryFailed", r"{.*?}", "", "EvmonDiscoveryFailed"),
]


@pytest.mark.parametrize(
    ("name", "pattern", "replacement", "alert"),
    MUTANTS,
    ids=[f"{alert}-{number}" for number, (*_, alert) in enumerate(MUTANTS)],
)
def test_a_wrong_expression_is_noticed(
    fails, groups, name, pattern, replacement, alert
):
    for rule in _named(groups, [name] if isinstance(name, str) else name):
        expr, count = re.subn(pattern, replacement, rule["expr"])
        assert count, rule["expr"]
        rule["expr"] = expr

    assert fails(groups, alert)


HELD = sorted({alert.name for alert in alerts(LIMITS) if alert.hold_seconds})


@pytest.mark.parametrize("alert", HELD)
@pytest.mark.parametrize("hold", [None, "15m"])
def test_a_wrong_duration_is_noticed(fails, groups, alert, hold):
    for rule in _named(groups, [alert]):
        del rule["for"]
        if hold:
            rule["for"] = hold

    assert fails(groups, alert)


def test_the_rules_as_they_are_pass(fails, groups):
    for alert in (ERRORS, STALLED):
        assert not fails(groups, alert)
