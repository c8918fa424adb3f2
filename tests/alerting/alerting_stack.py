"""Prometheus and Alertmanager with demo services and a webhook receiver."""

import contextlib
import http.server
import itertools
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import yaml

from evmon import Thresholds
from evmon._alerting.promql import duration
from evmon._alerting.rules.scrapes import CARRY_SECONDS
from evmon._alerting.rules_file import alerts, rules
from evmon._cli.demo_shop import WINDOW_SECONDS
from evmon._cli.faults import FAULTS

LIMITS = Thresholds(window_seconds=WINDOW_SECONDS, batch_p95_min_runs=5)
"""The demo runs about one discovery batch per second: fewer than 20 in its window."""


def free_port():
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _rules_for_short_scrapes():
    """Return the rules for scrapes each second, with durations divided by 60."""
    carry = duration(CARRY_SECONDS)
    text = re.sub(
        rf"(\[|offset ){carry}\b", rf"\g<1>{CARRY_SECONDS / 60:.0f}s", rules(LIMITS)
    )
    groups = yaml.safe_load(text)
    short = {
        duration(seconds): duration(seconds / 60)
        for alert in alerts(LIMITS)
        for seconds in (alert.hold_seconds, alert.keep_seconds)
    }
    for group in groups["groups"]:
        for rule in group["rules"]:
            for field in {"for", "keep_firing_for"} & rule.keys():
                rule[field] = short[rule[field]]
    return yaml.safe_dump(groups)


class Receiver(http.server.ThreadingHTTPServer):
    """A webhook that collects the notifications of Alertmanager."""

    def __init__(self):
        self.notifications = []
        self.messages = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers["content-length"])
        body = json.loads(self.rfile.read(length))
        self.server.messages.append(body)
        self.server.notifications += [
            {**alert, "receiver": body["receiver"]} for alert in body["alerts"]
        ]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


class Watch:
    """Polls the alerts of Alertmanager and their state."""

    def __init__(self, url):
        self._url = f"{url}/api/v2/alerts"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self.polls = []
        """The alerts of each poll, by fingerprint."""

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _poll(self):
        while not self._ended.wait(0.5):
            with contextlib.suppress(OSError):
                found = get(self._url)
                self.polls.append({alert["fingerprint"]: alert for alert in found})

    def alerts_of(self, service):
        """Return the names of all alerts of a service, inhibited ones included."""
        return {
            alert["labels"]["alertname"]
            for poll in self.polls
            for alert in poll.values()
            if alert["labels"].get("job") == service
        }

    def inhibitions(self):
        """Yield the labels of each inhibited alert and of the alert that inhibits it."""
        for poll in self.polls:
            for alert in poll.values():
                for other in alert["status"]["inhibitedBy"]:
                    # The other alert may have been resolved during the poll.
                    if alert["status"]["state"] == "suppressed" and other in poll:
                        yield alert["labels"], poll[other]["labels"]

    def wait_until(self, holds, seconds):
        """Wait until a condition holds for the alerts of the latest poll."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.polls and holds(self.polls[-1].values()):
                return
            time.sleep(0.2)
        raise TimeoutError(f"not within {seconds} s: {self.polls[-1:]}")


def get(url, **parameters):
    """Return the JSON at a URL."""
    full = f"{url}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(full, timeout=10) as answer:
        return json.load(answer)


class AlertingStack:
    """Runs Prometheus, Alertmanager, a receiver and demo services in a ``with`` block.

    Args:
        folder: directory of configuration, data and logs.
        root: root directory of the repository.
        redis: Redis server of the services; each has a database of its own.
        services: faults of the services by name; an unknown fault means none.
    """

    def __init__(self, folder, root, redis, services):
        self._folder = folder
        self._redis = redis
        self._services = services
        self._ports = {name: free_port() for name in services}
        self._numbers = dict(zip(services, itertools.count(), strict=False))
        self._exits = contextlib.ExitStack()
        self._running = {}
        self.receiver = Receiver()
        ports = free_port(), free_port()
        self.prometheus, self.alertmanager = (f"http://127.0.0.1:{p}" for p in ports)
        self._write_prometheus(ports[1])
        self._write_alertmanager(root)

    def __enter__(self):
        thread = threading.Thread(target=self.receiver.serve_forever)
        thread.start()
        self._exits.callback(thread.join)
        self._exits.callback(self.receiver.server_close)
        self._exits.callback(self.receiver.shutdown)
        folder = self._folder
        self._run(
            "alertmanager",
            *(shutil.which("prometheus-alertmanager") or "alertmanager",),
            f"--config.file={folder}/alertmanager.yaml",
            f"--storage.path={folder}/alerts",
            f"--web.listen-address={self.alertmanager.removeprefix('http://')}",
            "--cluster.listen-address=",
        )
        self._run(
            "prometheus",
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={self.prometheus.removeprefix('http://')}",
        )
        self.watch = self._exits.enter_context(Watch(self.alertmanager))
        for name, fault in self._services.items():
            self.start(name, fault)
        return self

    def __exit__(self, *_):
        self._exits.close()

    def start(self, name, fault=None):
        """Start a service, or restart it."""
        port, number = self._ports[name], self._numbers[name]
        self._run(
            name,
            *(sys.executable, "-m", "evmon", "demo", "--port", str(port)),
            *("--transport", f"redis://127.0.0.1:{self._redis.port}/{number}"),
            *(("--fault", fault) if fault in FAULTS else ()),
        )

    def kill(self, name):
        """Kill a service with SIGKILL."""
        self._running[name].kill()
        self._running[name].wait()

    def _run(self, name, *command):
        with (self._folder / f"{name}.log").open("a") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        self._running[name] = process
        self._exits.callback(process.wait, timeout=20)
        self._exits.callback(process.terminate)

    def _write_prometheus(self, alertmanager_port):
        (self._folder / "rules.yaml").write_text(_rules_for_short_scrapes(), "utf-8")
        alertmanager = {"targets": [f"127.0.0.1:{alertmanager_port}"]}
        config = {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "evaluation_interval": "1s",
            },
            "rule_files": ["rules.yaml"],
            "alerting": {"alertmanagers": [{"static_configs": [alertmanager]}]},
            "scrape_configs": [
                {
                    "job_name": name,
                    "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
                }
                for name, port in self._ports.items()
            ],
        }
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")

    def _write_alertmanager(self, root):
        """Write the committed configuration with other receivers and intervals."""
        config = yaml.safe_load((root / "alerts/alertmanager.yaml").read_text("utf-8"))
        del config["global"]
        for receiver in config["receivers"]:
            receiver.pop("slack_configs", None)
            url = f"http://127.0.0.1:{self.receiver.server_port}/"
            receiver["webhook_configs"] = [{"url": url, "send_resolved": True}]
        (evmon,) = config["route"]["routes"]
        for route in (evmon, *evmon["routes"]):
            route |= {"group_wait": "1s", "group_interval": "1s"}
        text = yaml.safe_dump(config)
        (self._folder / "alertmanager.yaml").write_text(text, "utf-8")
