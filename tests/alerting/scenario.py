"""Checks how many alerts fire for series that a test gives."""

from tests.alerting import promtool

from evmon import Thresholds
from evmon._alerting.rules_file import RuleOptions, rules

CALLS = "messaging_process_duration_seconds_count"

GROUPS = ("evmon.rules", "evmon.alerts")

LIMITS = Thresholds(
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
"""The numbers in the tests fit these limits, whatever the defaults are."""


def check(folder, series, alert, expected, *, labels=(), interval="1m", order=GROUPS):
    """Check how many alerts of a name fire after each number of minutes.

    Args:
        folder: directory for the files of promtool.
        series: values of each series, in promtool's notation; ``job="shop"`` is added
            where there is no job.
        alert: name of the alert.
        expected: number of firing alerts after each number of minutes.
        labels: labels that separate services with the same job name.
        interval: time between two values.
        order: order in which the groups of rules are evaluated.
    """
    every = promtool.load(rules(LIMITS, RuleOptions(labels=labels)))
    only = promtool.dump(promtool.only_alert(every, alert))
    (folder / "rules.yaml").write_text(only, "utf-8")
    firing = f'count(ALERTS{{alertstate="firing",alertname="{alert}"}})'
    test = {
        "interval": interval,
        "input_series": [
            {"series": _of_shop(name), "values": values}
            for name, values in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": f"{firing} or vector(0)",
                "eval_time": f"{minutes}m",
                "exp_samples": [{"labels": "{}", "value": count}],
            }
            for minutes, count in expected.items()
        ],
    }
    tests = {
        "rule_files": ["rules.yaml"],
        "group_eval_order": list(order),
        "tests": [test],
    }
    (folder / "tests.yaml").write_text(promtool.dump(tests), "utf-8")
    done = promtool.run("test", "rules", "tests.yaml", cwd=folder)
    assert 0 == done.returncode, done.stdout + done.stderr


def _of_shop(name):
    return name if "job=" in name else name.replace("{", '{job="shop",', 1)


def lives(values, *, first, count, grow=None):
    """Return series of processes that live for a minute and are scraped once.

    Args:
        values: value of each series by name; ``%s`` in the name is the instance.
        first: minute of the first process.
        count: number of processes, one after the other.
        grow: returns the value for the number of the process, instead of `values`.
    """
    return {
        name % f"pod-{life}": " ".join(
            (
                f"_x{first + life - 1}" if first + life > 1 else "_" * (first + life),
                str(grow(life)) if grow else value,
                "stale",
            )
        ).strip()
        for life in range(count)
        for name, value in values.items()
    }


def every_minute(first, last, count):
    """Return the same expected number of alerts for a range of minutes."""
    return dict.fromkeys(range(first, last), count)
