"""Every alert has a runbook that `evmon runbook` prints, also once installed."""

import subprocess
import sys
import zipfile

import pytest

from evmon import Thresholds
from evmon._alerting.rules_file import alerts
from evmon._cli import problems
from evmon._cli.app import main
from evmon._monitor.findings import MONITORED_LIMITS, MonitoredLimit

ALERTS = sorted({alert.name for alert in alerts(Thresholds())})


@pytest.mark.parametrize("name", ALERTS)
def test_the_runbook_of_each_alert_is_printed(name, capsys):
    assert 0 == main(["runbook", name])
    assert capsys.readouterr().out.startswith(f"# {name}\n")


def test_every_runbook_that_check_names_exists():
    limits = [v for v in vars(problems).values() if isinstance(v, MonitoredLimit)]
    named = {limit.alert for limit in (*limits, *MONITORED_LIMITS)}

    assert named <= set(ALERTS)


def test_without_a_name_the_alerts_are_listed(capsys):
    assert 0 == main(["runbook"])
    assert sorted(ALERTS) == capsys.readouterr().out.split()


@pytest.mark.parametrize("name", ["nope", "README", "../alerting", "\x1b[2J"])
def test_an_unknown_runbook_is_one_line(name, capsys):
    assert 1 == main(["runbook", name])
    error = capsys.readouterr().err
    assert "'evmon runbook' lists the alerts" in error
    assert 1 == error.count("\n")


def test_the_wheel_ships_the_package_and_the_runbooks(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())

    assert {f"evmon/_runbooks/{name}.md" for name in ALERTS} <= files
    assert {"evmon/__init__.py", "evmon/py.typed"} <= files
    assert {"evmon", "pytest_evmon.py"} == {
        f.split("/")[0] for f in files if ".dist-info/" not in f
    }


def test_an_installed_package_prints_its_runbooks(installed_wheel):
    done = subprocess.run(
        [sys.executable, "-m", "evmon", "runbook", "EvmonMemoryHigh"],
        env={"PYTHONPATH": str(installed_wheel), "PATH": ""},
        cwd=installed_wheel,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert done.stdout.startswith("# EvmonMemoryHigh\n")
