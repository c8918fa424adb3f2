"""`evmon check` reports the problems of a running service."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from evmon import EventBus, MetricsConfig, RedisConfig, Thresholds
from evmon._cli.app import main


@pytest.fixture
def shown():
    """Serves given metrics and readiness; returns the address."""
    servers = []

    def serve(metrics, readyz=(200, "ready")):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                known = {"/x/metrics": (200, metrics), "/x/readyz": readyz}
                status, body = known.get(self.path, (404, ""))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/x/metrics"

    yield serve
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def look(shown, capsys):
    """Runs `evmon check` on given samples; returns the exit code and its report."""

    def look(metrics, *readyz):
        code = main(
            ["check", shown(f"evmon_uptime_seconds 7\n{metrics}", *readyz), "--json"]
        )
        return code, json.loads(capsys.readouterr().out)

    return look


def breaches(seen):
    return [(entry["alert"], entry["severity"]) for entry in seen["warnings"]]


def test_check_reports_that_no_limit_is_breached(service, capsys):
    url, _ = service
    assert 0 == main(["check", url])
    output = capsys.readouterr().out

    assert "Performance Summary (uptime: " in output
    assert "  Discovery: 1 registered, 0 pending" in output
    assert "No limit is breached." in output


def test_check_agrees_with_the_monitor(service, capsys):
    url, bus = service
    assert 0 == main(["check", url.removesuffix("/metrics"), "--json"])
    seen = json.loads(capsys.readouterr().out)
    own = bus.monitor.get_metrics().to_dict()

    assert own["cache"] == seen["metrics"]["cache"]
    assert own["timing"] == seen["metrics"]["timing"]
    assert own["discovery"] == seen["metrics"]["discovery"]
    assert [] == seen["warnings"] == seen["recommendations"]


def test_check_prints_breaches_causes_and_next_steps(service, capsys):
    url, bus = service
    object.__setattr__(bus.monitor._limits, "memory_warning_mb", 1.0)
    assert 1 == main(["check", url])
    output = capsys.readouterr().out
    assert "WARNING EvmonMemoryHigh" in output
    assert "Runbook: evmon runbook EvmonMemoryHigh" in output

    assert 1 == main(["check", url, "--json"])
    (finding,) = json.loads(capsys.readouterr().out)["warnings"]
    assert ("EvmonMemoryHigh", "warning", 1.0) == (
        finding["alert"],
        finding["severity"],
        finding["limit"],
    )


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/metrics", "127.0.0.1:1", "ftp://127.0.0.1/x", "http://[::bad"],
)
def test_check_of_an_unreachable_service_is_one_line_and_exit_code_2(url, capsys):
    assert 2 == main(["check", url, "--timeout", "1"])
    error = capsys.readouterr().err
    assert "check that the service is running" in error
    assert 1 == error.count("\n")


def test_check_of_another_kind_of_server_is_refused(capsys):
    registry = CollectorRegistry()
    Gauge("something", "else", registry=registry).set(1)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        assert 2 == main(["check", f"http://127.0.0.1:{server.server_port}/metrics"])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert "not the metrics of an evmon service" in capsys.readouterr().err


def test_a_service_that_is_not_ready_is_a_problem(look):
    code, seen = look("", (503, "cannot reach redis://x:6379\n"))

    assert (1, False) == (code, seen["ready"])
    assert [("EvmonNotReady", "critical")] == breaches(seen)
    assert (
        "/readyz reports: cannot reach redis://x:6379" == seen["warnings"][0]["message"]
    )


def test_a_readiness_check_without_a_response_is_a_problem(look):
    code, seen = look("", (500, ""))

    assert (1, False) == (code, seen["ready"])
    assert "/readyz reports: HTTP 500" == seen["warnings"][0]["message"]


def test_readiness_is_omitted_where_it_is_not_served(look):
    code, seen = look("", (404, "no such page"))

    assert (0, None, []) == (code, seen["ready"], seen["warnings"])


def test_failed_discovery_is_a_problem(look):
    outcome = "evmon_discovery_providers_total{evmon_discovery_outcome"
    code, seen = look(f'{outcome}="failed"}} 2\n{outcome}="registered"}} 5\n')

    assert (1, True) == (code, seen["ready"])
    assert [("EvmonDiscoveryFailed", "warning")] == breaches(seen)


@pytest.mark.parametrize(
    ("sample", "found"),
    [
        ("evmon_consumer_unread_oldest_age_seconds 299", []),
        (
            "evmon_consumer_unread_oldest_age_seconds 301",
            [("EvmonConsumerLagOld", "warning")],
        ),
        (
            "evmon_consumer_pending_oldest_age_seconds 3601",
            [("EvmonPendingOld", "critical")],
        ),
        (
            "evmon_dead_letter_queue_oldest_age_seconds 86401",
            [("EvmonDeadLetterQueueOld", "warning")],
        ),
    ],
)
def test_events_that_wait_too_long_are_a_problem(look, sample, found):
    code, seen = look(f"{sample}\n")

    assert (code, breaches(seen)) == (int(bool(found)), found)


def test_limits_on_ages_come_from_the_environment(look, monkeypatch):
    monkeypatch.setenv("EVMON_THRESHOLDS_LAG_AGE_WARNING_SECONDS", "600")

    assert 0 == look("evmon_consumer_unread_oldest_age_seconds 301\n")[0]


def test_event_counts_are_printed_if_known(look, shown, capsys):
    samples = "evmon_consumer_lag 12\nevmon_dead_letter_queue_size 3\n"
    _, seen = look(samples)
    assert {"unread": 12, "pending": None, "dead_letters": 3} == seen["events"]

    assert 0 == main(["check", shown(f"evmon_uptime_seconds 7\n{samples}")])
    assert "  Events: 12 unread, 3 dead letters\n" in capsys.readouterr().out


def test_a_stopped_redis_server_is_a_problem(own_server, running, capsys):
    server = own_server()
    url, _ = running(transport=server.url, redis=RedisConfig(timeout=0.5))
    assert 0 == main(["check", url])
    server.stop()

    deadline = time.monotonic() + 10
    while main(["check", url]) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "CRITICAL EvmonNotReady" in capsys.readouterr().out


def test_recent_dead_letters_are_a_problem(look):
    code, seen = look("evmon_dead_letters_recent 3\n")

    assert (1, [("EvmonDeadLettersGrowing", "warning")]) == (code, breaches(seen))


@pytest.mark.parametrize(
    "metrics", ["evmon_discovery_handlers NaN\n", "evmon_threshold_value 1\n"]
)
def test_metrics_that_are_not_numbers_are_reported_in_one_line(shown, capsys, metrics):
    url = shown(f"evmon_uptime_seconds 7\n{metrics}")
    assert 2 == main(["check", url, "--json"])
    output, error = capsys.readouterr()

    assert url == json.loads(output)["url"]
    assert 1 == error.count("\n")


def test_without_a_monitor_limits_are_reported_as_unchecked(shown, capsys):
    url = shown(
        "evmon_uptime_seconds 7\nprocess_memory_usage_bytes 64000000\n",
    )
    assert 0 == main(["check", url])
    output = capsys.readouterr().out

    assert "The monitor is off" in output
    assert "Memory: 64.0MB used / 64MB total" in output


def test_the_timeout_covers_a_slow_response(shown, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip():
            client, _ = listening.accept()
            with client, contextlib.suppress(OSError):
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                for _ in range(100):
                    client.sendall(b"# a\n")
                    time.sleep(0.05)

        thread = threading.Thread(target=drip)
        thread.start()
        port = listening.getsockname()[1]
        assert 2 == main(["check", f"127.0.0.1:{port}", "--timeout", "0.3"])
        thread.join()

    assert "no complete response within 0.3 s" in capsys.readouterr().err


HOSTILE = "\x1b[2J\u202e\x9b31m"


@pytest.mark.parametrize(
    ("metrics", "readyz"),
    [
        ("", (503, f"cannot reach {HOSTILE}\nCRITICAL forged")),
        (f'evmon_threshold_value{{alert="{HOSTILE}"}} nonsense{HOSTILE}\n', (200, "")),
        (f'evmon_threshold_value{{{HOSTILE}="x"}} 1\n', (200, "")),
    ],
)
def test_check_prints_no_control_characters(shown, capsys, metrics, readyz):
    assert 0 < main(["check", shown(f"evmon_uptime_seconds 7\n{metrics}", readyz)])

    output, error = capsys.readouterr()
    assert all(line.isprintable() for line in (output + error).split("\n"))
    assert "\nCRITICAL forged" not in output


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_service_on_this_machine_is_read_without_a_proxy(
    service, monkeypatch, capsys, host
):
    url, _ = service
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    assert 0 == main(["check", url.replace("127.0.0.1", host)])


def test_another_machine_is_read_through_the_proxy(shown, monkeypatch, capsys):
    proxy = shown("").removesuffix("/x/metrics")
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)

    assert 2 == main(["check", "http://service.invalid/metrics"])
    assert "Not Found" in capsys.readouterr().err


def lag_of(service, system="redis"):
    labels = f'messaging_destination_name="{service}",messaging_system="{system}"'
    return f'evmon_consumer_lag{{{labels},messaging_consumer_group_name="g"}} 0\n'


@pytest.mark.parametrize(
    ("samples", "command"),
    [
        (lag_of("shop"), "'evmon dlq list --service shop'"),
        ("", "'evmon dlq list --service SERVICE'"),
        (
            lag_of("shop:mail") + lag_of("shop"),
            "'evmon dlq list --service shop'",
        ),
        (lag_of("shop") + lag_of("shopping"), "'evmon dlq list --service SERVICE'"),
        (lag_of("shop") + lag_of("bank"), "'evmon dlq list --service SERVICE'"),
        (lag_of("$(reboot)"), "'evmon dlq list --service SERVICE'"),
        (lag_of("shop", "memory"), "check the log"),
    ],
)
@pytest.mark.parametrize(
    "problem",
    ["evmon_dead_letters_recent 3", "evmon_dead_letter_queue_oldest_age_seconds 86401"],
)
def test_the_suggested_command_names_the_service(look, samples, command, problem):
    _, seen = look(f"{problem}\n{samples}")
    (entry,) = seen["recommendations"]

    assert command in entry["next_step"]


def test_a_service_is_named_by_its_own_metrics(running, server, capsys):
    url, bus = running(transport=server.url)
    bus.publish_sync("unknown", 1)
    while main(["check", url]) == 0:
        time.sleep(0.1)

    assert "evmon dlq list --service shop" in capsys.readouterr().out


async def test_telemetry_that_is_off_is_said_and_its_figures_are_unknown(
    monkeypatch, capsys
):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    limits = Thresholds(memory_warning_mb=10_000, memory_critical_mb=20_000)
    metrics = MetricsConfig(port=0)
    async with EventBus("shop", metrics=metrics, thresholds=limits) as bus:
        command = ["check", bus.metrics_url]
        assert 0 == await asyncio.to_thread(main, command)
        text = capsys.readouterr().out
        await asyncio.to_thread(main, [*command, "--json"])
        report = json.loads(capsys.readouterr().out)

    assert "telemetry is off (OTEL_SDK_DISABLED)" in text
    assert "No limit is breached" not in text
    assert not report["telemetry"]
    assert report["metrics"]["cache"]["hits"] is None
    assert report["metrics"]["discovery"]["retry_count"] is None
    assert report["metrics"]["timing"]["total_runs"] is None


def test_the_uptime_of_two_buses_is_that_of_the_older(shown, capsys):
    url = shown(
        'evmon_uptime_seconds{evmon_bus="a"} 7\nevmon_uptime_seconds{evmon_bus="b"} 5\n'
    )
    main(["check", url, "--json"])

    assert 7 == json.loads(capsys.readouterr().out)["uptime_seconds"]
