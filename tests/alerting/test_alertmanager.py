"""Alertmanager's configuration, checked with amtool."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml


@pytest.fixture
def config(root):
    return str(root / "alerts" / "alertmanager.yaml")


def _amtool(*arguments):
    return subprocess.run(
        ["amtool", *arguments], capture_output=True, text=True, timeout=30, check=False
    )


def test_amtool_accepts_the_configuration(config):
    done = _amtool("check-config", config)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "3 inhibit rules" in done.stdout


@pytest.mark.parametrize(
    ("severity", "receiver"),
    [("critical", "evmon-critical"), ("warning", "evmon-warning")],
)
def test_the_severity_selects_the_receiver(config, severity, receiver):
    labels = ["alertname=EvmonMemoryHigh", "job=shop", f"severity={severity}"]
    expected = f"--verify.receivers={receiver}"

    done = _amtool(
        "config", "routes", "test", f"--config.file={config}", expected, *labels
    )

    assert 0 == done.returncode, done.stdout + done.stderr


def test_an_alert_without_severity_goes_to_the_default_receiver(config):
    done = _amtool("config", "routes", "test", f"--config.file={config}", "job=shop")

    assert "evmon-warning" == done.stdout.strip()


def test_a_notification_states_whether_each_alert_fires_or_is_resolved(
    config, tmp_path
):
    receivers = yaml.safe_load(Path(config).read_text("utf-8"))["receivers"]
    alerts = [
        {"status": "firing", "annotations": {"summary": "it is bad"}},
        {"status": "resolved", "annotations": {"summary": "it was bad"}},
    ]
    (tmp_path / "data.json").write_text(json.dumps({"alerts": alerts}), "utf-8")
    (tmp_path / "none.tmpl").touch()

    for receiver in receivers:
        (slack,) = receiver["slack_configs"]
        done = _amtool(
            *("template", "render", f"--template.glob={tmp_path}/none.tmpl"),
            f"--template.data={tmp_path}/data.json",
            f"--template.text={slack['text']}",
        )
        assert "FIRING: it is bad\n" in done.stdout, done.stderr
        assert "RESOLVED: it was bad\n" in done.stdout
