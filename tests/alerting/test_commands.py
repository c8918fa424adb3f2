"""``evmon rules`` and ``evmon dashboards`` on the command line."""

import json
import sys

import pytest
import yaml

from evmon._cli.app import main

has_sdk = sys.version_info >= (3, 11)


def test_rules_are_printed(capsys):
    assert 0 == main(["rules"])

    groups = yaml.safe_load(capsys.readouterr().out)["groups"]
    assert ["evmon.rules", "evmon.alerts"] == [group["name"] for group in groups]


def test_rules_use_the_given_limits_and_urls(capsys):
    arguments = ["--set", "memory_warning=256MB", "--runbooks", "http://wiki"]

    assert 0 == main(["rules", *arguments])

    printed = capsys.readouterr().out
    assert "/ 1000000 > 256\n" in printed
    assert "http://wiki/EvmonMemoryHigh.md" in printed


def test_rules_for_the_operator_are_a_prometheus_rule(capsys):
    assert 0 == main(["rules", "--format", "operator"])
    assert "PrometheusRule" == yaml.safe_load(capsys.readouterr().out)["kind"]


def test_an_alert_can_be_left_out(capsys):
    assert 0 == main(["rules", "--without", "EvmonServiceAbsent"])

    printed = capsys.readouterr().out
    assert "alert: EvmonServiceAbsent" not in printed
    assert "alert: EvmonTargetDown" in printed


def test_an_unknown_alert_to_leave_out_is_an_error_of_one_line(capsys):
    assert 1 == main(["rules", "--without", "EvmonX"])

    error = capsys.readouterr().err
    assert error.startswith("evmon: --without EvmonX: must be one of EvmonCache")
    assert 1 == error.count("\n")


def test_an_unknown_limit_is_an_error_of_one_line(capsys):
    assert 1 == main(["rules", "--set", "memory=5"])

    error = capsys.readouterr().err
    assert error.startswith("evmon: --set memory: must be one of window_seconds")
    assert 1 == error.count("\n")


@pytest.mark.parametrize("form", ["json", "configmap"])
def test_dashboards_are_written_or_the_missing_python_version_is_named(
    tmp_path, capsys, form
):
    folder = tmp_path / "new" / "folder"

    code = main(["dashboards", "--out", str(folder), "--format", form])

    printed = capsys.readouterr()
    if not has_sdk:
        assert 1 == code
        assert "needs Python 3.11" in printed.err
        return
    assert 0 == code
    written = sorted(folder.iterdir())
    assert printed.out.split() == [
        str(path) for path in sorted(written, key=lambda p: "events" in p.name)
    ]
    load = json.loads if form == "json" else yaml.safe_load
    for path in written:
        assert load(path.read_text("utf-8"))


def test_dashboards_use_the_given_limits(tmp_path):
    code = main(["dashboards", "--out", str(tmp_path), "--set", "memory_warning=256MB"])

    assert (0 if has_sdk else 1) == code
    assert ("256000000" in _all(tmp_path)) is has_sdk


def _all(folder):
    return "".join(path.read_text("utf-8") for path in folder.iterdir())


def test_a_folder_that_cannot_be_made_is_an_error_of_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("", "utf-8")

    assert 1 == main(["dashboards", "--out", str(tmp_path / "file" / "x")])

    error = capsys.readouterr().err
    assert 1 == error.count("\n")
    assert "choose another --out" in error or not has_sdk


@pytest.mark.parametrize("window", ["0.5s", "29s", "400d"])
@pytest.mark.parametrize("command", ["rules", "dashboards"])
def test_a_window_that_no_rule_can_use_is_one_line(tmp_path, capsys, command, window):
    out = ["--out", str(tmp_path)] if command == "dashboards" else []

    assert 1 == main([command, *out, "--set", f"window={window}"])

    output, error = capsys.readouterr()
    assert "" == output
    assert error.startswith(f"evmon: --set window={window}: must be from 30s")
    assert 1 == error.count("\n")


def test_a_window_of_two_scrapes_is_accepted(capsys):
    assert 0 == main(["rules", "--set", "window=30s"])


@pytest.mark.parametrize(
    "label",
    [
        *("job", "instance", "le", "alertname", "severity", "__name__", "__x"),
        *("error_type", "evmon_cache_result", "messaging_destination_name"),
    ],
)
def test_a_label_that_the_rules_use_is_one_line(capsys, label):
    assert 1 == main(["rules", "--label", label])

    output, error = capsys.readouterr()
    assert "" == output
    assert error.startswith(f"evmon: --label {label!r}: ")
    assert 1 == error.count("\n")


def test_a_label_given_twice_is_one_line(capsys):
    assert 1 == main(["rules", "--label", "cluster", "--label", "cluster"])
    assert "--label 'cluster': given twice" in capsys.readouterr().err
