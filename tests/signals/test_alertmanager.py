"""Alertmanager's configuration, by Alertmanager's own tool."""

import subprocess

import pytest


@pytest.fixture
def config(root):
    return str(root / "alerts" / "alertmanager.yaml")


def _amtool(*arguments):
    return subprocess.run(
        ["amtool", *arguments], capture_output=True, text=True, timeout=30, check=False
    )


def test_amtool_finds_the_configuration_right(config):
    done = _amtool("check-config", config)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 inhibit rules" in done.stdout


@pytest.mark.parametrize(
    ("severity", "receiver"),
    [("critical", "evmon-critical"), ("warning", "evmon-warning")],
)
def test_the_severity_chooses_the_receiver(config, severity, receiver):
    labels = ["alertname=EvmonMemoryHigh", "job=shop", f"severity={severity}"]
    expected = f"--verify.receivers={receiver}"

    done = _amtool(
        "config", "routes", "test", f"--config.file={config}", expected, *labels
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_what_has_no_severity_is_told_to_somebody(config):
    done = _amtool("config", "routes", "test", f"--config.file={config}", "job=shop")

    assert done.stdout.strip() == "evmon-warning"
