"""``evmon rules`` and ``evmon dashboards``, from the command line."""

import json
import sys

import pytest
import yaml

from evmon._cli.app import main

has_sdk = sys.version_info >= (3, 11)


def test_rules_are_printed(capsys):
    assert main(["rules"]) == 0

    groups = yaml.safe_load(capsys.readouterr().out)["groups"]
    assert [group["name"] for group in groups] == ["evmon.rules", "evmon.alerts"]


def test_rules_take_other_limits_and_addresses(capsys):
    arguments = ["--set", "memory_warning=256MB", "--runbooks", "http://wiki"]

    assert main(["rules", *arguments]) == 0

    printed = capsys.readouterr().out
    assert "/ 1000000 > 256\n" in printed
    assert "http://wiki/EvmonMemoryHigh.md" in printed


def test_rules_for_the_operator(capsys):
    assert main(["rules", "--format", "operator"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["kind"] == "PrometheusRule"


def test_a_limit_that_does_not_exist_is_one_line(capsys):
    assert main(["rules", "--set", "memory=5"]) == 1

    error = capsys.readouterr().err
    assert error.startswith("evmon: --set memory: must be one of window_seconds")
    assert error.count("\n") == 1


@pytest.mark.parametrize("form", ["json", "configmap"])
def test_dashboards_are_written_or_it_is_said_what_they_need(tmp_path, capsys, form):
    folder = tmp_path / "new" / "folder"

    code = main(["dashboards", "--out", str(folder), "--format", form])

    printed = capsys.readouterr()
    if not has_sdk:
        assert code == 1
        assert "needs Python 3.11" in printed.err
        return
    assert code == 0
    written = sorted(folder.iterdir())
    assert printed.out.split() == [
        str(path) for path in sorted(written, key=lambda p: "events" in p.name)
    ]
    load = json.loads if form == "json" else yaml.safe_load
    for path in written:
        assert load(path.read_text("utf-8"))


def test_dashboards_take_other_limits(tmp_path):
    code = main(["dashboards", "--out", str(tmp_path), "--set", "memory_warning=256MB"])

    assert code == (0 if has_sdk else 1)
    assert ("256000000" in _all(tmp_path)) is has_sdk


def _all(folder):
    return "".join(path.read_text("utf-8") for path in folder.iterdir())


def test_a_folder_that_cannot_be_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("", "utf-8")

    assert main(["dashboards", "--out", str(tmp_path / "file" / "x")]) == 1

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "choose another --out" in error or not has_sdk


@pytest.mark.parametrize("window", ["0.5s", "29s", "400d"])
@pytest.mark.parametrize("command", ["rules", "dashboards"])
def test_a_window_that_no_rule_can_use_is_one_line(tmp_path, capsys, command, window):
    out = ["--out", str(tmp_path)] if command == "dashboards" else []

    assert main([command, *out, "--set", f"window={window}"]) == 1

    output, error = capsys.readouterr()
    assert output == ""
    assert error.startswith(f"evmon: --set window={window}: must be from 30s")
    assert error.count("\n") == 1


def test_a_window_of_two_scrapes_is_accepted(capsys):
    assert main(["rules", "--set", "window=30s"]) == 0


@pytest.mark.parametrize(
    "label",
    [
        *("job", "instance", "le", "alertname", "severity", "__name__", "__x"),
        *("error_type", "evmon_cache_result", "messaging_destination_name"),
    ],
)
def test_a_label_that_the_rules_use_is_one_line(capsys, label):
    assert main(["rules", "--label", label]) == 1

    output, error = capsys.readouterr()
    assert output == ""
    assert error.startswith(f"evmon: --label {label!r}: ")
    assert error.count("\n") == 1


def test_a_label_given_twice_is_one_line(capsys):
    assert main(["rules", "--label", "cluster", "--label", "cluster"]) == 1
    assert "--label 'cluster': given twice" in capsys.readouterr().err
