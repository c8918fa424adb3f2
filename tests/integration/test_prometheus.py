"""A real Prometheus scrapes the demo and evaluates queries."""

import json
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pytest
from tests.servers import free_port

CONFIG = """
global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}
scrape_configs:
  - job_name: evmon
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@pytest.fixture
def demo():
    """Runs the demo in its own process; yields its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "evmon", "demo", "--port", "0", "--rate", "50"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        serving = next(line for line in process.stdout if "127.0.0.1:" in line)
        yield int(serving.split("127.0.0.1:")[1].split("/")[0])
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture
def prometheus(demo, tmp_path):
    """Runs a Prometheus that scrapes the demo; yields a function that queries it."""
    (tmp_path / "prometheus.yml").write_text(CONFIG.format(port=demo))
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [
                shutil.which("prometheus"),
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stderr=log,
        )

    def query_prometheus(query):
        encoded = urllib.parse.urlencode({"query": query})
        url = f"http://127.0.0.1:{port}/api/v1/query?{encoded}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]["result"]

    try:
        yield query_prometheus
    finally:
        process.terminate()
        process.wait(timeout=10)


def _positive_value(query_prometheus, query, within=20.0):
    """The value of a query once it is above 0."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            result = query_prometheus(query)
        except OSError:
            result = []
        if result and float(result[0]["value"][1]) > 0:
            return float(result[0]["value"][1])
        time.sleep(0.2)
    raise AssertionError(f"{query} has no value above 0 within {within} s")


@pytest.mark.slow
def test_prometheus_scrapes_the_demo_and_evaluates_queries(prometheus):
    assert 1 == _positive_value(prometheus, "up")
    assert 6 == _positive_value(prometheus, "evmon_discovery_handlers")
    handled = "sum(rate(messaging_process_duration_seconds_count[5s]))"
    assert 10 < _positive_value(prometheus, handled)
    assert 0.5 < _positive_value(prometheus, "evmon_cache_hit_ratio") <= 1
    limit = 'evmon_threshold_limit{alert="EvmonMemoryHigh",severity="warning"}'
    assert 100 == _positive_value(prometheus, limit)
    p95 = (
        "histogram_quantile(0.95, sum by (le)"
        " (rate(messaging_process_duration_seconds_bucket[5s])))"
    )
    assert 1 > _positive_value(prometheus, p95)
    assert [] == prometheus("evmon_no_such_metric")
