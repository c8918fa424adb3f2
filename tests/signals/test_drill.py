"""The fire drill: a real Prometheus, a real Alertmanager, and every fault of the demo.

Each fault runs in a process of its own, under a service name of its own. Its alerts must
arrive at a receiver, with the right labels, and resolve; nobody else's may.
"""

import contextlib
import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import pytest
import yaml

from evmon import Thresholds
from evmon._cli.shop import FAULTS, WINDOW_SECONDS
from evmon._signals.rules import RuleOptions, rules

OWN_ALERTS = {
    "healthy": set(),
    "cold-cache": {"EvmonCacheHitRateLow"},
    "memory": {"EvmonMemoryHigh"},
    "slow-discovery": {"EvmonDiscoveryProcessingSlow", "EvmonDiscoveryBatchP95High"},
    "retries": {"EvmonRetriesHigh"},
    "failing-handler": {
        "EvmonHandlerErrorsHigh",
        "EvmonRetriesExhausted",
        "EvmonDeadLettersGrowing",
    },
}
DURATION = 60
"""Seconds: faults end at 20, their window is over at 30, and all is quiet again."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Receiver(http.server.ThreadingHTTPServer):
    """Writes down what Alertmanager posts."""

    def __init__(self):
        self.notices = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers["content-length"])
        body = json.loads(self.rfile.read(length))
        self.server.notices += [
            {**alert, "receiver": body["receiver"]} for alert in body["alerts"]
        ]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def _process(*command, log):
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


class Drill:
    """What came of it: notices, and answers of Prometheus."""

    def __init__(self, prometheus, notices, started):
        self._prometheus = prometheus
        self.notices = notices
        self.started = started

    def ask(self, query):
        """The series of a query over the whole drill."""
        parameters = {
            "query": query,
            "start": self.started,
            "end": time.time(),
            "step": 1,
        }
        return _get(f"{self._prometheus}/query_range", parameters)["result"]

    def of(self, fault):
        """The notices about the service that a fault befell."""
        return [n for n in self.notices if n["labels"].get("job") == fault]


def _get(url, parameters):
    full = f"{url}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(full, timeout=10) as answer:
        return json.load(answer)["data"]


@pytest.fixture(scope="module")
def drill(tmp_path_factory, redis_server, root):
    folder = tmp_path_factory.mktemp("drill")
    with redis_server.client() as client:
        client.flushall()  # other tests have a service of this name as well
    ports = {name: _free_port() for name in OWN_ALERTS}
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever)
    thread.start()
    alertmanager_port, prometheus_port = _free_port(), _free_port()
    _write_alertmanager(folder, root, receiver.server_port)
    _write_prometheus(folder, ports, alertmanager_port)
    with contextlib.ExitStack() as stack:
        run = lambda name, *command: stack.enter_context(  # noqa: E731
            _process(*command, log=folder / f"{name}.log")
        )
        run(
            "alertmanager",
            *(shutil.which("prometheus-alertmanager") or "alertmanager",),
            f"--config.file={folder}/alertmanager.yaml",
            f"--storage.path={folder}/alerts",
            f"--web.listen-address=127.0.0.1:{alertmanager_port}",
            "--cluster.listen-address=",
        )
        run(
            "prometheus",
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{prometheus_port}",
        )
        started = time.time()
        for number, (name, port) in enumerate(ports.items()):
            fault = ("--fault", name) if name in FAULTS else ()
            url = f"redis://127.0.0.1:{redis_server.port}/{number}"
            run(
                name,
                *(sys.executable, "-m", "evmon", "demo", "--port", str(port)),
                *("--transport", url, *fault),
            )
        time.sleep(DURATION)
        url = f"http://127.0.0.1:{prometheus_port}/api/v1"
        yield Drill(url, receiver.notices, started)
    receiver.shutdown()
    receiver.server_close()
    thread.join()


def _write_prometheus(folder, ports, alertmanager_port):
    # Twenty batches would take longer than the demo's window is.
    limits = Thresholds(window_seconds=WINDOW_SECONDS, batch_p95_min_runs=5)
    quick = RuleOptions(pace=1 / 60)
    (folder / "rules.yaml").write_text(rules(limits, quick), "utf-8")
    config = {
        "global": {
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "evaluation_interval": "1s",
        },
        "rule_files": ["rules.yaml"],
        "alerting": {
            "alertmanagers": [
                {"static_configs": [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]}
            ]
        },
        "scrape_configs": [
            {
                "job_name": name,
                "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
            }
            for name, port in ports.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")


def _write_alertmanager(folder, root, port):
    """The one that is shipped; only where notices go, and how soon, is the test's."""
    config = yaml.safe_load((root / "alerts/alertmanager.yaml").read_text("utf-8"))
    del config["global"]
    for receiver in config["receivers"]:
        del receiver["slack_configs"]
        url = f"http://127.0.0.1:{port}/"
        receiver["webhook_configs"] = [{"url": url, "send_resolved": True}]
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    (folder / "alertmanager.yaml").write_text(yaml.safe_dump(config), "utf-8")


def test_the_drill_is_about_every_fault_of_the_demo():
    assert set(FAULTS) == OWN_ALERTS.keys() - {"healthy"}


@pytest.mark.parametrize("fault", OWN_ALERTS)
def test_a_fault_raises_exactly_its_own_alerts(drill, fault):
    raised = {notice["labels"]["alertname"] for notice in drill.of(fault)}

    assert raised == OWN_ALERTS[fault]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_alerts_of_a_fault_clear(drill, fault):
    last = {n["labels"]["alertname"]: n["status"] for n in drill.of(fault)}

    assert last == dict.fromkeys(OWN_ALERTS[fault], "resolved")


def test_an_alert_arrives_with_all_that_a_person_needs(drill):
    (notice, *_) = [n for n in drill.of("memory") if n["status"] == "firing"]

    assert notice["receiver"] == "evmon-warning"
    assert notice["labels"]["severity"] == "warning"
    assert notice["labels"]["instance"].startswith("127.0.0.1:")
    assert "the limit is 100MB" in notice["annotations"]["description"]
    assert notice["annotations"]["runbook_url"].endswith("EvmonMemoryHigh.md")
    assert "var-job=memory" in notice["annotations"]["dashboard_url"]


def test_a_critical_alert_inhibits_its_own_warning(drill):
    severities = [n["labels"]["severity"] for n in drill.of("cold-cache")]

    assert "critical" in severities
    # It is a warning for a moment on the way down, and may be one on the way up.
    both = drill.ask('ALERTS{job="cold-cache",alertstate="firing"}')
    assert {"warning", "critical"} == {s["metric"]["severity"] for s in both}
    seconds = len(max((s["values"] for s in both), key=len))
    assert severities.count("warning") < seconds


def test_every_query_of_the_dashboards_returns_data(drill, queries, plain):
    empty = []
    for uid, title, expression in queries:
        series = drill.ask(plain(expression))
        numbers = [v for s in series for _, v in s["values"] if v != "NaN"]
        if not numbers:
            empty.append((uid, title))

    assert [] == empty


def test_every_recording_rule_has_data(drill):
    limits = Thresholds(window_seconds=WINDOW_SECONDS)
    for group in yaml.safe_load(rules(limits))["groups"]:
        for rule in group["rules"]:
            if "record" in rule:
                assert drill.ask(rule["record"]), rule["record"]
