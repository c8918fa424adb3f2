"""The metrics server: requests, slow and broken clients, start and stop."""

import asyncio
import http.client
import socket
import threading
import time

import pytest
from prometheus_client.core import GaugeMetricFamily

from evmon import ConfigError, MetricsConfig
from evmon._http.exposition import Exposition, Health, Routes
from evmon._http.server import MetricsServer


class SlowFamilies:
    """Families whose rendering takes `delay` seconds."""

    def __init__(self):
        self.delay = 0.0

    def __call__(self):
        time.sleep(self.delay)
        return [GaugeMetricFamily("now", "Seconds.", value=1)]


@pytest.fixture
def families():
    return SlowFamilies()


@pytest.fixture
def serve(families):
    servers = []

    def serve(checks=None, **config):
        settings = {"port": 0, "header_timeout_seconds": 0.5, **config}
        routes = Routes(Exposition(families, 0.0, time.monotonic), checks)
        server = MetricsServer(MetricsConfig(**settings), routes)
        server.start()
        servers.append(server)
        return server

    yield serve
    for server in servers:
        server.stop()


def get(server, path="/metrics", method="GET", timeout=5, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def send_raw(server, data, timeout=5):
    """Send bytes, return everything received until the server closes."""
    with socket.create_connection(
        ("127.0.0.1", server.port), timeout=timeout
    ) as client:
        client.sendall(data)
        received = b""
        while chunk := client.recv(65536):
            received += chunk
    return received


def test_a_scrape_is_answered(serve):
    status, body = get(serve())

    assert 200 == status
    assert b"now 1.0\n" in body


def test_head_returns_the_length_and_no_body(serve):
    server = serve()
    _, body = get(server)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("HEAD", "/metrics")
    response = connection.getresponse()

    assert str(len(body)) == response.headers["content-length"]
    assert b"" == response.read()
    connection.close()


def test_checks_and_unknown_paths_are_answered(serve):
    server = serve({"/readyz": lambda: Health(ok=False, detail="draining")})

    assert (503, b"draining\n") == get(server, "/readyz?verbose")
    assert 404 == get(server, "/etc/passwd")[0]
    assert 405 == get(server, method="DELETE")[0]


def test_a_check_that_raises_is_answered_with_500(serve, caplog):
    server = serve({"/readyz": lambda: Health(1 / 0, "")})

    assert 500 == get(server, "/readyz")[0]
    assert 200 == get(server)[0]
    assert "ZeroDivisionError" in caplog.text


def test_a_connection_is_kept_alive(serve):
    server = serve()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    for _ in range(5):
        connection.request("GET", "/metrics")
        assert b"now 1.0\n" in connection.getresponse().read()
    connection.close()


def test_requests_can_be_pipelined(serve):
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    assert 3 == send_raw(serve(), request + request + last).count(b"HTTP/1.1 200")


def test_a_client_that_reads_no_answers_is_not_served_further(serve):
    made = []

    def large():
        made.append(1)
        return Health(ok=True, detail="x" * 100_000)

    server = serve({"/readyz": large}, header_timeout_seconds=30)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        before = -1
        while before < len(made):
            before = len(made)
            time.sleep(0.2)
        assert 500 > len(made)

        client.shutdown(socket.SHUT_WR)
        received = 0
        while chunk := client.recv(1_000_000):
            received += len(chunk)
        assert 1000 == len(made)
        assert 1000 * 100_000 < received


def test_a_client_that_shuts_down_its_writing_side_gets_the_answer(serve, families):
    families.delay = 0.1
    server = serve()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := client.recv(65536):
            received += chunk

    assert b"now 1.0\n" in received


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 9000, b"431"),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", b"413"),
        (
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"413",
        ),
        (b"GET /metrics HTTP/1.0\r\n\r\n", b"200"),
    ],
)
def test_requests_with_a_body_or_invalid_syntax_are_refused_and_closed(
    serve, data, status
):
    assert send_raw(serve(), data).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(
    "data", [b"", b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"]
)
def test_a_client_without_a_request_within_the_header_timeout_is_disconnected(
    serve, data
):
    server = serve(header_timeout_seconds=0.2)
    started = time.monotonic()

    assert b"" == send_raw(server, data)
    assert 2 > time.monotonic() - started


def test_clients_that_disconnect_within_a_request_do_no_harm(serve):
    server = serve()
    for _ in range(50):
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"GET /met")
        client.close()

    assert 200 == get(server)[0]


def test_500_idle_connections_do_not_delay_a_scrape(serve):
    server = serve(header_timeout_seconds=30)
    threads_before = threading.active_count()
    clients = []
    try:
        for _ in range(500):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            client.setblocking(False)
            clients.append(client)
        started = time.monotonic()
        for _ in range(10):
            assert 200 == get(server)[0]
        elapsed = time.monotonic() - started
        assert 1 >= threading.active_count() - threads_before
    finally:
        for client in clients:
            client.close()

    assert 5 > elapsed


def test_a_running_scrape_is_not_closed_for_new_connections(serve, families):
    families.delay = 0.5
    server = serve(max_connections=2, header_timeout_seconds=30)
    results = []
    scrape = threading.Thread(target=lambda: results.append(get(server)[0]))
    scrape.start()
    time.sleep(0.2)
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    scrape.join()
    for client in clients:
        client.close()

    assert [200] == results


def test_a_new_connection_waits_while_all_are_busy(serve, families):
    families.delay = 0.3
    server = serve(max_connections=1, header_timeout_seconds=30)
    results = []
    scrapes = [
        threading.Thread(target=lambda: results.append(get(server)[0]))
        for _ in range(4)
    ]
    for scrape in scrapes:
        scrape.start()
    for scrape in scrapes:
        scrape.join()

    assert [200] * 4 == results


def test_a_slow_rendering_does_not_delay_health_checks(serve, families):
    families.delay = 0.1
    server = serve({"/livez": lambda: Health(ok=True, detail="alive")})
    scrapes = [threading.Thread(target=lambda: get(server)) for _ in range(3)]
    for scrape in scrapes:
        scrape.start()
    started = time.monotonic()
    assert (200, b"alive\n") == get(server, "/livez")
    assert 3 > time.monotonic() - started
    for scrape in scrapes:
        scrape.join()


async def test_a_scrape_is_answered_while_the_application_blocks_its_loop(serve):
    server = serve()
    results = []
    scrape = threading.Thread(target=lambda: results.append(get(server, timeout=1)[0]))
    scrape.start()
    time.sleep(0.5)

    assert [200] == results
    scrape.join()


def test_a_port_in_use_is_a_config_error_that_names_the_variable(serve):
    server = serve()
    with pytest.raises(ConfigError) as caught:
        serve(port=server.port)

    assert f"cannot serve /metrics on 127.0.0.1:{server.port}" in str(caught.value)
    assert "EVMON_METRICS_PORT" in str(caught.value)


def test_an_unknown_host_is_a_config_error(serve):
    with pytest.raises(ConfigError, match="cannot serve /metrics on"):
        serve(host="no.such.host.invalid")


def test_ipv6_is_served(serve):
    server = serve(host="::1")

    assert f"http://[::1]:{server.port}" == server.url
    connection = http.client.HTTPConnection("::1", server.port, timeout=5)
    connection.request("GET", "/metrics")
    assert 200 == connection.getresponse().status
    connection.close()


def test_stopping_frees_port_and_threads_despite_open_connections(serve, families):
    threads_before = threading.active_count()
    server = serve(header_timeout_seconds=30)
    port = server.port
    get(server)
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    server.start()
    started = time.monotonic()
    server.stop()
    server.stop()

    assert 2 > time.monotonic() - started
    assert threading.active_count() <= threads_before
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    for client in clients:
        client.close()
    assert serve(port=port).port == port


def test_an_idle_server_does_not_wake_up(serve):
    server = serve()
    get(server)
    time.sleep(0.7)
    loop = server._loop
    steps = []
    original = loop._run_once
    loop._run_once = lambda: (steps.append(1), original())
    time.sleep(0.5)
    loop._run_once = original

    assert [] == [t for t in loop._scheduled if not t.cancelled()]
    assert [] == steps


async def test_50_concurrent_scrapes_are_answered(serve):
    server = serve()
    results = await asyncio.gather(*(asyncio.to_thread(get, server) for _ in range(50)))

    assert {200} == {status for status, _ in results}


def test_a_server_that_cannot_create_its_loop_is_a_config_error(monkeypatch, families):
    def out_of_descriptors(coroutine):
        coroutine.close()
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio, "run", out_of_descriptors)
    routes = Routes(Exposition(families, 0.0, time.monotonic), None)
    server = MetricsServer(MetricsConfig(port=0), routes)
    with pytest.raises(ConfigError, match="Too many open files"):
        server.start()
    server.stop()


def test_a_failed_accept_does_not_stop_the_server(serve, monkeypatch):
    server = serve()
    connect = server._loop.connect_accepted_socket
    failures = [OSError("gone")]

    async def fail_once(*args):
        if failures:
            raise failures.pop()
        return await connect(*args)

    monkeypatch.setattr(server._loop, "connect_accepted_socket", fail_once)
    with pytest.raises((OSError, http.client.HTTPException)):
        get(server)

    assert 200 == get(server)[0]


def test_a_refused_head_request_is_answered_without_a_body(serve, caplog):
    answer = send_raw(
        serve(), b"HEAD /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    )

    assert answer.startswith(b"HTTP/1.1 413")
    assert answer.endswith(b"\r\n\r\n")
    assert "Traceback" not in caplog.text


def test_an_invalid_request_after_a_head_request_is_refused(serve, caplog):
    server = serve()
    answer = send_raw(
        server, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n"
    )

    assert b"HTTP/1.1 200" in answer
    assert b"HTTP/1.1 400" in answer
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "target", ["http://localhost:1/metrics?x=1", "http://[::1]/metrics"]
)
def test_an_absolute_uri_is_answered_by_its_path(serve, target):
    request = (
        f"GET {target} HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n"
    )

    assert send_raw(serve(), request.encode()).startswith(b"HTTP/1.1 200 ")


def test_a_name_that_is_not_allowed_is_refused(serve, families):
    server = serve(allowed_hosts="shop.example.com")
    status, body = get(server, Host="attacker.example")

    assert 403 == status
    assert b"EVMON_METRICS_ALLOWED_HOSTS" in body
    assert 200 == get(server, Host=f"shop.example.com:{server.port}")[0]
    absolute = (
        b"GET http://attacker.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    assert send_raw(server, absolute).startswith(b"HTTP/1.1 403 ")
