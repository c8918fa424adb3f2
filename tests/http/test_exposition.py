"""Rendering of metrics: formats, compression, caching, routes."""

import gzip
import shutil
import subprocess
import threading
import time

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from tests.waiting import eventually

from evmon import EventBus
from evmon._http.exposition import Exposition, Health, Routes

OPENMETRICS = "application/openmetrics-text"
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


class Source:
    """Families that count how often they are collected."""

    def __init__(self):
        self.collected = 0
        self.error = None
        self.delay = 0.0

    def __call__(self):
        self.collected += 1
        time.sleep(self.delay)
        if self.error:
            raise self.error
        counter = CounterMetricFamily("requests", "Requests.", labels=["path"])
        counter.add_metric(['/a"\\\n'], 3)
        return [counter, GaugeMetricFamily("now", "Seconds.", value=self.collected)]


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def exposition(source, clock):
    return Exposition(source, 1.0, clock.monotonic)


def values(families):
    return {s.name: s.value for family in families for s in family.samples}


def content_type(response):
    return dict(response.headers)["content-type"]


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/plain",
        "text/html",
        "x;;q=,=",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0.1,text/plain;q=0.9",
    ],
)
def test_the_text_format_is_the_default(exposition, accept):
    response = exposition.render(accept, "")

    assert content_type(response).startswith("text/plain; version=0.0.4")
    assert {"requests_total": 3, "now": 1} == values(parse_text(response.body.decode()))


@pytest.mark.parametrize(
    "accept", [OPENMETRICS, PROMETHEUS, f"text/plain;q=0.1,{OPENMETRICS}"]
)
def test_openmetrics_is_used_if_the_client_prefers_it(exposition, accept):
    response = exposition.render(accept, "")

    assert content_type(response).startswith(OPENMETRICS)
    assert {
        "requests_total": 3,
        "now": 1,
    } == values(parse_openmetrics(response.body.decode()))


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("", False),
        ("gzip;q=0", False),
        ("deflate", False),
    ],
)
def test_gzip_is_used_if_the_client_accepts_it(exposition, accepted, zipped):
    response = exposition.render("", accepted)

    assert zipped == (dict(response.headers).get("content-encoding") == "gzip")
    body = gzip.decompress(response.body) if zipped else response.body
    assert body == exposition.render("", "").body


def test_a_rendering_is_cached_for_its_time(exposition, source, clock):
    for accept_encoding in ("", "gzip", ""):
        exposition.render("", accept_encoding)
    assert 1 == source.collected
    clock.now += 1.0
    exposition.render("", "gzip")
    assert 2 == source.collected


def test_concurrent_scrapes_share_one_rendering(source):
    source.delay = 0.2
    exposition = Exposition(source, 0.0, time.monotonic)
    bodies = []
    threads = [
        threading.Thread(target=lambda: bodies.append(exposition.render("", "").body))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 20 == len(bodies)
    assert 2 >= source.collected


def test_an_error_is_answered_with_500_and_logged(exposition, source, caplog):
    source.error = ZeroDivisionError("oops")
    response = exposition.render("", "")

    assert 500 == response.status
    assert b"cannot render the metrics; see the log of the service\n" == response.body
    assert "ZeroDivisionError: oops" in caplog.text
    source.error = None
    assert 200 == exposition.render("", "").status


@pytest.fixture
def routes(exposition):
    return Routes(
        exposition,
        {
            "/livez": lambda: Health(ok=True, detail="alive"),
            "/readyz": lambda: Health(ok=False, detail="draining"),
        },
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/livez", 200, b"alive\n"),
        ("HEAD", "/readyz", 503, b"draining\n"),
        ("POST", "/metrics", 405, b"only GET and HEAD are allowed\n"),
        ("GET", "/", 404, b"not found; try /metrics /livez /readyz\n"),
        ("GET", "/metrics/", 404, b"not found; try /metrics /livez /readyz\n"),
    ],
)
def test_only_known_paths_and_methods_are_answered(routes, method, path, status, body):
    response = routes.answer(method, path, {})

    assert (status, body) == (response.status, response.body)
    assert (status == 405) == ("allow" in dict(response.headers))


def test_metrics_are_routed_with_the_request_headers(routes):
    response = routes.answer("GET", "/metrics", {"accept": OPENMETRICS})

    assert content_type(response).startswith(OPENMETRICS)


async def test_promtool_and_both_parsers_accept_the_metrics_of_a_real_bus():
    promtool = shutil.which("promtool")
    bus = EventBus(service="shop")
    bus.add_handler("a", lambda event: 1 / 0)
    async with bus:
        await bus.publish("a")
        await bus.publish("unknown")
        await eventually(lambda: bus._runtime.transport.dead_letters)
        answer = bus._runtime.routes.answer
        text = answer("GET", "/metrics", {}).body
        openmetrics = answer("GET", "/metrics", {"accept": OPENMETRICS}).body
    result = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )

    assert ("", "", 0) == (
        result.stdout.decode(),
        result.stderr.decode(),
        result.returncode,
    )
    names = set(values(parse_text(text.decode())))
    # Only one of the formats has the creation time of counters.
    strip = lambda found: {n for n in found if not n.endswith("_created")}  # noqa: E731
    assert strip(names) == strip(values(parse_openmetrics(openmetrics.decode())))


def test_an_invalid_label_of_a_foreign_metric_is_replaced(clock):
    family = GaugeMetricFamily("theirs", "Of the application.", labels=["who"])
    family.add_metric(["J\u00fcrgen \ud800"], 1)
    exposition = Exposition(lambda: [family], 0.0, clock.monotonic)

    assert 'who="Jürgen ?"' in exposition.render("", "").body.decode()
