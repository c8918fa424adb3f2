"""The stage of the fire drill: Prometheus, Alertmanager, services, and a receiver."""

import contextlib
import http.server
import itertools
import json
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
from evmon._alerting.rules_file import RuleOptions, rules
from evmon._cli.demo_shop import WINDOW_SECONDS
from evmon._cli.faults import FAULTS

LIMITS = Thresholds(window_seconds=WINDOW_SECONDS, batch_p95_min_runs=5)
"""Twenty batches would take longer than the demo's window is."""


def free_port():
    """A port that nobody listens on."""
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


class Watch:
    """Asks Alertmanager, time and again, which alerts it holds and which it suppresses."""

    def __init__(self, url):
        self._url = f"{url}/api/v2/alerts"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.seen = []
        """What was looked at: the alerts of each look, by their fingerprints."""

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _look(self):
        while not self._ended.wait(0.5):
            with contextlib.suppress(OSError):
                found = get(self._url)
                self.seen.append({alert["fingerprint"]: alert for alert in found})

    def inhibitions(self):
        """Pairs of labels: of an alert that was suppressed, and of one that did it."""
        for look in self.seen:
            for alert in look.values():
                for other in alert["status"]["inhibitedBy"]:
                    # The other one may have ended while the answer was written.
                    if alert["status"]["state"] == "suppressed" and other in look:
                        yield alert["labels"], look[other]["labels"]

    def until(self, holds, seconds):
        """Wait until something holds for the latest look."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.seen and holds(self.seen[-1].values()):
                return
            time.sleep(0.2)
        raise TimeoutError(f"not within {seconds} s: {self.seen[-1:]}")


def get(url, **parameters):
    """The JSON at an address."""
    full = f"{url}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(full, timeout=10) as answer:
        return json.load(answer)


class Stage:
    """Runs everything until the end of the ``with`` block.

    Args:
        folder: for files and logs.
        root: of the repository.
        redis: server of all services; each has a database of its own.
        services: their names, and the fault of each or None.
    """

    def __init__(self, folder, root, redis, services):
        self._folder = folder
        self._redis = redis
        self._services = services
        self._ports = {name: free_port() for name in services}
        self._numbers = dict(zip(services, itertools.count(), strict=False))
        self._stack = contextlib.ExitStack()
        self._running = {}
        self.receiver = Receiver()
        ports = free_port(), free_port()
        self.prometheus, self.alertmanager = (f"http://127.0.0.1:{p}" for p in ports)
        self._write_prometheus(ports[1])
        self._write_alertmanager(root)

    def __enter__(self):
        thread = threading.Thread(target=self.receiver.serve_forever)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(self.receiver.server_close)
        self._stack.callback(self.receiver.shutdown)
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
        self.watch = self._stack.enter_context(Watch(self.alertmanager))
        for name, fault in self._services.items():
            self.start(name, fault)
        return self

    def __exit__(self, *_):
        self._stack.close()

    def start(self, name, fault=None):
        """Start a service, or start it again."""
        port, number = self._ports[name], self._numbers[name]
        self._run(
            name,
            *(sys.executable, "-m", "evmon", "demo", "--port", str(port)),
            *("--transport", f"redis://127.0.0.1:{self._redis.port}/{number}"),
            *(("--fault", fault) if fault in FAULTS else ()),
        )

    def kill(self, name):
        """End a service without a warning."""
        self._running[name].kill()
        self._running[name].wait()

    def _run(self, name, *command):
        with (self._folder / f"{name}.log").open("a") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        self._running[name] = process
        self._stack.callback(process.wait, timeout=20)
        self._stack.callback(process.terminate)

    def _write_prometheus(self, alertmanager_port):
        quick = RuleOptions(pace=1 / 60)
        (self._folder / "rules.yaml").write_text(rules(LIMITS, quick), "utf-8")
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
        """What is shipped; only where notices go, and how soon, is the test's."""
        config = yaml.safe_load((root / "alerts/alertmanager.yaml").read_text("utf-8"))
        del config["global"]
        for receiver in config["receivers"]:
            del receiver["slack_configs"]
            url = f"http://127.0.0.1:{self.receiver.server_port}/"
            receiver["webhook_configs"] = [{"url": url, "send_resolved": True}]
        for route in (config["route"], *config["route"]["routes"]):
            route |= {"group_wait": "1s", "group_interval": "1s"}
        text = yaml.safe_dump(config)
        (self._folder / "alertmanager.yaml").write_text(text, "utf-8")
