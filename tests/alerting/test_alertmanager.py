"""Alertmanager's configuration, checked with amtool and a real Alertmanager."""

import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from tests.alerting.alerting_stack import Receiver, free_port

from evmon import Thresholds
from evmon._alerting.alertmanager import WARNING, alertmanager
from evmon._alerting.rules_file import alerts


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
    assert "inhibit rules" in done.stdout


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


def test_alerts_of_others_notify_nobody(config):
    done = _amtool("config", "routes", "test", f"--config.file={config}", "job=shop")

    assert "default" == done.stdout.strip()


def test_the_route_fits_into_the_configuration_of_a_company(root, tmp_path):
    text = (root / "alerts/alertmanager-route.yaml").read_text("utf-8")
    parts = yaml.safe_load(text)
    company = {
        "global": {"slack_api_url": "https://chat.example/hook"},
        "route": {"receiver": "company", "routes": parts["routes"]},
        "inhibit_rules": parts["inhibit_rules"],
        "receivers": [{"name": "company"}, *parts["receivers"]],
    }
    path = tmp_path / "alertmanager.yaml"
    path.write_text(yaml.safe_dump(company), "utf-8")

    done = _amtool("check-config", str(path))
    assert 0 == done.returncode, done.stdout + done.stderr
    for alert, receiver in (("DiskFull", "company"), ("EvmonNotReady", WARNING)):
        done = _amtool(
            *("config", "routes", "test", f"--config.file={path}"),
            f"alertname={alert}",
        )
        assert receiver == done.stdout.strip()


def test_additional_labels_are_grouped_by_and_equal():
    parts = yaml.safe_load(alertmanager("route", ("namespace",)))

    assert ["namespace", "job"] == parts["routes"][0]["group_by"]
    assert all("namespace" in rule["equal"] for rule in parts["inhibit_rules"])


def test_the_custom_resource_has_the_same_route_and_inhibitions():
    resource = yaml.safe_load(alertmanager("operator"))
    parts = yaml.safe_load(alertmanager("route"))
    spec, (route,) = resource["spec"], parts["routes"]

    assert "AlertmanagerConfig" == resource["kind"]
    assert route["group_by"] == spec["route"]["groupBy"]
    assert route["receiver"] == spec["route"]["receiver"]
    assert [r["name"] for r in parts["receivers"]] == [
        r["name"] for r in spec["receivers"]
    ]
    written = [
        [f'{m["name"]} {m["matchType"]} "{m["value"]}"' for m in rule["targetMatch"]]
        for rule in spec["inhibitRules"]
    ]
    assert [rule["target_matchers"] for rule in parts["inhibit_rules"]] == written


def test_an_inhibition_of_a_handler_failure_names_alerts_that_exist():
    names = {alert.name for alert in alerts(Thresholds())}
    for rule in yaml.safe_load(alertmanager("route"))["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            label, _, value = matcher.split(" ", 2)
            if label == "alertname" and value != '"Evmon.+"':
                assert names >= set(value.strip('"').split("|"))


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

    for receiver in receivers[:2]:
        (slack,) = receiver["slack_configs"]
        done = _amtool(
            *("template", "render", f"--template.glob={tmp_path}/none.tmpl"),
            f"--template.data={tmp_path}/data.json",
            f"--template.text={slack['text']}",
        )
        assert "FIRING: it is bad\n" in done.stdout, done.stderr
        assert "RESOLVED: it was bad\n" in done.stdout


def test_the_text_of_a_message_is_bounded(config, tmp_path):
    (receiver, *_) = yaml.safe_load(Path(config).read_text("utf-8"))["receivers"]
    alert = {
        "status": "firing",
        "annotations": dict.fromkeys(
            ("summary", "description", "runbook_url", "dashboard_url"), "x" * 1000
        ),
    }
    (tmp_path / "data.json").write_text(json.dumps({"alerts": [alert] * 200}), "utf-8")
    (tmp_path / "none.tmpl").touch()

    done = _amtool(
        *("template", "render", f"--template.glob={tmp_path}/none.tmpl"),
        f"--template.data={tmp_path}/data.json",
        f"--template.text={receiver['slack_configs'][0]['text']}",
    )

    assert "… 200 alerts in all." in done.stdout, done.stderr
    assert 12_000 > len(done.stdout)


@pytest.fixture
def messages(config, tmp_path):
    """Sends alerts to an Alertmanager; returns the messages that it sends."""
    receiver = Receiver()
    url = f"http://127.0.0.1:{receiver.server_port}/"
    document = yaml.safe_load(Path(config).read_text("utf-8"))
    del document["global"]
    for one in document["receivers"]:
        one.pop("slack_configs", None)
        one["webhook_configs"] = [{"url": url}]
    for route in (
        document["route"]["routes"][0],
        *document["route"]["routes"][0]["routes"],
    ):
        route["group_wait"] = "1s"
    path = tmp_path / "alertmanager.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            shutil.which("prometheus-alertmanager") or "alertmanager",
            f"--config.file={path}",
            f"--storage.path={tmp_path}/alerts",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    thread = threading.Thread(target=receiver.serve_forever)
    thread.start()

    def send(alerts):
        request = urllib.request.Request(
            f"http://{address}/api/v2/alerts",
            json.dumps(alerts).encode(),
            {"content-type": "application/json"},
        )
        for _ in range(100):
            try:
                urllib.request.urlopen(request, timeout=5).close()
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        time.sleep(3)  # longer than the group's wait, so that a second message is seen
        return receiver.messages

    yield send
    process.terminate()
    process.wait(timeout=20)
    receiver.shutdown()
    thread.join()
    receiver.server_close()


@pytest.mark.slow
def test_a_failing_handler_sends_one_message(messages):
    names = ("HandlerErrorsHigh", "RetriesExhausted", "DeadLettersGrowing")
    common = {"severity": "warning", "job": "shop"}
    alerts = [
        {"labels": {"alertname": f"Evmon{name}", "instance": instance, **common}}
        for name in names
        for instance in ("one", "two")
    ]

    (message,) = messages(alerts)
    assert {"EvmonHandlerErrorsHigh"} == {
        alert["labels"]["alertname"] for alert in message["alerts"]
    }


@pytest.mark.slow
def test_all_alerts_of_a_service_are_one_message(messages):
    alerts = [
        {"labels": {"alertname": name, "job": "shop", "severity": "warning"}}
        for name in ("EvmonMemoryHigh", "EvmonCacheHitRateLow")
    ]

    (message,) = messages(alerts)
    assert (WARNING, 2) == (message["receiver"], len(message["alerts"]))
