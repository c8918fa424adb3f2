"""Runs promtool on generated rules and unit tests."""

import subprocess

import yaml


def run(*arguments, **options):
    """Run promtool and return its result."""
    return subprocess.run(
        ["promtool", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        **options,
    )


def load(text):
    """Parse generated YAML."""
    return yaml.load(text, yaml.CSafeLoader)


def dump(data):
    """Serialize rules or unit tests."""
    return yaml.dump(data, Dumper=yaml.CSafeDumper)


def only_alert(rules, alert):
    """Return the rules with all recording rules but only one alert.

    Promtool evaluates every rule at every step, so this halves its time.
    """
    groups = [
        {
            **group,
            "rules": [r for r in group["rules"] if r.get("alert", alert) == alert],
        }
        for group in rules["groups"]
    ]
    return {"groups": groups}


def tests_by_alert(tests):
    """Split a file of unit tests into one for each alert name."""
    found = {}
    for test in tests["tests"]:
        found.setdefault(test["name"].partition(" (")[0], []).append(test)
    return {alert: {**tests, "tests": some} for alert, some in found.items()}
