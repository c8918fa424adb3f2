"""`evmon demo` runs, injects faults, and says what to expect."""

import os
import signal

import pytest
from tests.cli.processes import start, stops_in_order

from evmon import Thresholds
from evmon._alerting.rules_file import alerts
from evmon._cli.app import main
from evmon._cli.faults import FAULTS, expectation, seconds_to_alert


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["duration", "signal"])
def test_the_demo_runs_and_ends_cleanly(stop):
    arguments = ["--duration", "7"] if stop == "duration" else []
    process = start("demo", "--port", "0", "--rate", "50", *arguments)
    output = ""
    try:
        if stop == "signal":
            while "Performance Summary" not in output:
                output += process.stdout.readline()
            process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()

    output += rest
    assert 0 == process.returncode, errors
    assert "" == errors
    assert "Serving http://127.0.0.1:" in output
    assert "Performance Summary (uptime: " in output
    assert "events; drained and stopped." in output


def test_the_demo_goes_on_while_its_server_is_away(own_server):
    server = own_server()
    quick = {"EVMON_RETRY_MAX_RETRIES": "0", "EVMON_REDIS_TIMEOUT": "0.5"}
    process = start(
        *("demo", "--port", "0", "--transport", server.url), env={**os.environ, **quick}
    )
    lines = []
    try:
        lines.append(process.stdout.readline())
        server.stop()
        while "Cannot publish" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        server.start()
        while "Cannot publish" in "".join(lines[-2:]):
            lines.append(process.stdout.readline())
        stops_in_order(process, within=20)
    finally:
        process.kill()
        process.wait()


def test_the_demo_without_a_server_ends_with_one_line(own_server):
    server = own_server()
    server.stop()
    process = start(
        *("demo", "--port", "0", "--transport", server.url),
        env={**os.environ, "EVMON_REDIS_CONNECT_WITHIN": "0.5"},
    )
    _, errors = process.communicate(timeout=30)

    assert 1 == process.returncode
    assert errors.startswith("evmon: server 127.0.0.1:")
    assert 1 == errors.count("\n")


FAULT_ALERTS = {
    "cold-cache": "EvmonCacheHitRateLow",
    "memory": "EvmonMemoryHigh",
    "slow-discovery": "EvmonDiscoveryProcessingSlow",
    "retries": "EvmonRetriesHigh",
    "failing-handler": "EvmonHandlerErrorsHigh",
}


@pytest.fixture(scope="module")
def faulty_demos():
    """The output of a demo with each fault, all of them run at the same time."""
    processes = {
        fault: start("demo", "--port", "0", "--duration", "50", "--fault", fault)
        for fault in FAULT_ALERTS
    }
    try:
        outputs = {
            fault: process.communicate(timeout=100)
            for fault, process in processes.items()
        }
        codes = {fault: process.returncode for fault, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    assert {0} == set(codes.values()), outputs
    return {fault: output for fault, (output, _) in outputs.items()}


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.timeout(150)
@pytest.mark.parametrize("fault", FAULT_ALERTS)
def test_each_fault_makes_its_own_warning_appear_and_clear(faulty_demos, fault):
    output, alert = faulty_demos[fault], FAULT_ALERTS[fault]

    assert f"{alert} (" in output
    assert f"{alert} cleared" in output
    breached = {other for other in FAULT_ALERTS.values() if f"{other} (" in output}
    assert {alert} == breached


@pytest.mark.parametrize("fault", FAULTS)
def test_the_alert_and_its_delay_come_from_the_rules(fault):
    expected = FAULTS[fault]
    holds = [a.hold_seconds for a in alerts(Thresholds()) if a.name == expected.alert]

    assert FAULT_ALERTS[fault] == expected.alert
    assert min(holds) < seconds_to_alert(expected) <= min(holds) + 60


def test_a_long_fault_says_when_to_expect_which_alert():
    text = expectation(FAULTS["memory"], 600)

    assert "EvmonMemoryHigh" in text
    assert "within 6m;" in text
    assert "within 6m of" in text


def test_a_short_fault_says_how_long_the_alert_needs():
    assert "needs --for 10m." in expectation(FAULTS["cold-cache"], 15)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2.5", 2.5)]
)
def test_durations_have_units(monkeypatch, text, seconds):
    seen = []

    async def run(*arguments):
        seen.append(arguments)
        return 0

    monkeypatch.setattr("evmon._cli.app.run_demo", run)

    assert 0 == main(["demo", "--duration", text, "--fault", "memory", "--for", text])
    assert [(seconds, seconds)] == [(a[0], a[-1]) for a in seen]


@pytest.mark.parametrize("text", ["", "0", "0s", "10x", "m", "-5s", "nan", "1m5h"])
def test_what_is_no_duration_is_one_line(text, capsys):
    assert 2 == main(["demo", "--fault", "memory", "--for", text])
    error = capsys.readouterr().err
    assert "is not a duration such as 90s or 10m" in error
    assert 1 == error.count("\n")


def test_a_duration_of_no_fault_is_refused(capsys):
    assert 2 == main(["demo", "--for", "10m"])
    assert "--for needs --fault" in capsys.readouterr().err
