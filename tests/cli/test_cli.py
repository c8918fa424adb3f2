"""The commands: output, exit codes, and one line for every error."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from evmon import __version__
from evmon._cli.app import cli, main
from evmon._cli.output import console
from evmon.errors import ConfigError, TransportError

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

APP = """
from evmon import Event, EventBus, RetryPolicy, event_handler

class Orders:
    @event_handler("order.created", retry=RetryPolicy(max_retries=5))
    async def created(self, event: Event) -> None: ...

    @event_handler("order.*")
    def audit(self, event: Event) -> None: ...

class Needy:
    def __init__(self, database): ...

    @event_handler("a")
    def handle(self, event): ...

bus = EventBus(service="shop")
bus.register(Orders())
broken = EventBus(service="broken")
broken.register(Needy)
number = 7
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    name = f"app_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(APP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return name


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["-h"],
        *([c, "--help"] for c in ("demo", "run", "handlers", "check")),
    ],
)
def test_help_shows_examples(arguments, capsys):
    assert main(arguments) == 0
    output = capsys.readouterr().out
    assert "Examples:" in output
    assert "evmon " in output


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert f"evmon, version {__version__}\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dance"], "No such command 'dance'"),
        (["demo", "--rate", "0"], "0.0 is not in the range"),
        (["demo", "--fault", "flood"], "'flood' is not one of"),
        (["demo", "--duration", "nan"], "'nan' is not a finite number"),
        (["demo", "--rate", "inf"], "is not in the range"),
        (["run"], "Missing argument 'MODULE:BUS'"),
        (["run", "x:y", "--metrics-port", "70000"], "70000 is not in the range"),
    ],
)
def test_wrong_usage_is_one_line_that_names_help(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("evmon: ")
    assert message in error
    assert "--help" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nocolon", "must be MODULE:BUS, such as shop.app:bus"),
        ("no_such_module:bus", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("{app}:nothing", "AttributeError"),
        ("{app}:number", "is a int, not an EventBus"),
    ],
)
@pytest.mark.parametrize("command", ["run", "handlers"])
def test_a_target_that_cannot_be_loaded_is_reported_in_one_line(
    app, command, target, message, capsys
):
    assert main([command, target.format(app=app)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_error_in_a_module_is_reported_with_its_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "broken_app.py").write_text("import os\nbus = nonsense\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert main(["handlers", "broken_app:bus"]) == 1
    assert f"({tmp_path / 'broken_app.py'}:2)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('import json\njson.loads("{")\n', 2),
        ("import asyncio\nasync def main():\n    1 / 0\nasyncio.run(main())\n", 3),
        ('import click\nclick.IntRange("x").convert("y", None, None)\n', 2),
        ("from evmon import RetryPolicy\nRetryPolicy(max_retries=-1)\n", 2),
        ("bus = 1\n\nbus = (\n", 3),
    ],
)
@pytest.mark.parametrize("command", ["run", "handlers"])
def test_a_failed_import_names_the_line_of_the_user(
    tmp_path, monkeypatch, capsys, command, source, line
):
    name = f"failing_{abs(hash((command, source)))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)

    assert main([command, f"{name}:bus"]) == 1

    (error,) = capsys.readouterr().err.splitlines()
    assert error.endswith(f"({tmp_path / name}.py:{line})")


def test_a_failed_import_of_an_installed_application_names_its_line(
    tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "site-packages" / "installed_app"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("import json\njson.loads('{')\n")
    monkeypatch.syspath_prepend(folder.parent)

    assert main(["run", "installed_app:bus"]) == 1
    assert f"({folder / '__init__.py'}:2)" in capsys.readouterr().err


def test_the_traceback_of_a_failed_import_is_logged_at_debug(tmp_path):
    (tmp_path / "failing_app.py").write_text("import json\njson.loads('{')\n")

    for level, shown in (("debug", True), ("info", False)):
        process = _start("run", "failing_app:bus", "--log-level", level, cwd=tmp_path)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 1
        assert shown is ("    Traceback (most recent call last):" in errors)


def test_handlers_are_printed_as_a_table(app, capsys):
    assert main(["handlers", f"{app}:bus"]) == 0

    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["PATTERN", "HANDLER", "KIND", "RETRIES"],
        ["order.*", f"{app}.Orders.audit", "thread", "default"],
        ["order.created", f"{app}.Orders.created", "async", "5"],
    ]


def test_handlers_are_printed_as_json(app, capsys):
    assert main(["handlers", f"{app}:bus", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)

    assert shown["failures"] == []
    assert {
        "pattern": "order.*",
        "handler": f"{app}.Orders.audit",
        "kind": "sync",
        "takes_many": False,
        "max_retries": None,
    } in shown["handlers"]


def test_a_provider_that_cannot_be_scanned_is_reported(app, capsys):
    assert main(["handlers", f"{app}:broken"]) == 1
    assert "register an instance instead" in capsys.readouterr().err


HOSTILE_APP = """
from evmon import EventBus, event_handler

class Broken:
    def __init__(self):
        raise ValueError("\\x1b[2J\\u202e\\nevmon: forged")

    @event_handler("a")
    async def handle(self, event): ...

bus = EventBus(service="shop")
bus.register(Broken)
"""


def test_handlers_prints_no_control_characters(tmp_path, monkeypatch, capsys):
    (tmp_path / "hostile_app.py").write_text(HOSTILE_APP)
    monkeypatch.syspath_prepend(tmp_path)

    assert main(["handlers", "hostile_app:bus"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert line.endswith(f"({tmp_path / 'hostile_app.py'}:6)")


def test_handlers_of_one_name_are_told_apart(tmp_path, monkeypatch, capsys):
    (tmp_path / "twice_app.py").write_text(TWICE_APP)
    monkeypatch.syspath_prepend(tmp_path)

    assert main(["handlers", "twice_app:bus"]) == 0
    table = capsys.readouterr().out
    assert main(["handlers", "twice_app:bus", "--json"]) == 0

    keys = ["twice_app.Orders.handle", "twice_app.Orders.handle#2"]
    shown = json.loads(capsys.readouterr().out)["handlers"]
    assert keys == sorted(entry["handler"] for entry in shown)
    assert keys[1] in table


TWICE_APP = """
from evmon import EventBus, event_handler

class Orders:
    @event_handler("a")
    async def handle(self, event): ...

bus = EventBus(service="shop")
bus.register(Orders())
bus.register(Orders())
"""


def _commands(command, path=()):
    yield (*path, "--help")
    for name, below in getattr(command, "commands", {}).items():
        yield from _commands(below, (*path, name))


@pytest.mark.parametrize("arguments", [*_commands(cli)], ids=" ".join)
def test_every_help_has_examples_on_lines_of_their_own(arguments, capsys):
    assert main(arguments) == 0

    lines = capsys.readouterr().out.splitlines()
    example = lines[lines.index("  Examples:") + 1]
    assert example.startswith(f"    evmon {' '.join(arguments[:-1])}")


def _start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "evmon", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def _stops_in_order(process, within):
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=within)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_run_serves_until_a_signal(app):
    process = _start(
        "run", f"{app}:bus", "--metrics-port", "0", "--metrics-host", "127.0.0.1"
    )
    try:
        started = process.stderr.readline()
        _stops_in_order(process, within=10)
    finally:
        process.kill()
        process.wait()

    assert "MemoryTransport(), metrics: http://127.0.0.1:" in started


def test_run_stops_on_a_signal_while_it_waits_for_a_server(app, own_server):
    server = own_server()
    server.stop()
    process = _start(
        *("run", f"{app}:bus", "--metrics-port", "0"),
        env={**os.environ, "EVMON_TRANSPORT": server.url},
    )
    try:
        time.sleep(2)
        assert process.poll() is None
        _stops_in_order(process, within=5)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("command", [(), ("dlq",)])
def test_a_group_without_a_command_shows_its_help(command, capsys):
    assert main(command) == 2
    shown = "".join(capsys.readouterr())
    assert "\n    evmon dlq list" in shown
    assert shown.startswith("Usage: evmon")


def test_a_port_in_use_is_reported_in_one_line(service, app):
    url, _ = service
    port = url.split(":")[2].split("/")[0]
    process = _start("run", f"{app}:bus", "--metrics-port", port)
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert f"127.0.0.1:{port}" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("stop", ["duration", "signal"])
def test_the_demo_runs_and_ends_cleanly(stop):
    arguments = ["--duration", "7"] if stop == "duration" else []
    process = _start("demo", "--port", "0", "--rate", "50", *arguments)
    try:
        if stop == "signal":
            time.sleep(7)
            process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 0, errors
    assert errors == ""
    assert "Serving http://127.0.0.1:" in output
    assert "Performance Summary (uptime: " in output
    assert "events; drained and stopped." in output


def test_the_demo_goes_on_while_its_server_is_away(own_server):
    server = own_server()
    quick = {"EVMON_RETRY_MAX_RETRIES": "0", "EVMON_REDIS_TIMEOUT": "0.5"}
    process = _start(
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
        _stops_in_order(process, within=20)
    finally:
        process.kill()
        process.wait()


def test_the_demo_without_a_server_ends_with_one_line(own_server):
    server = own_server()
    server.stop()
    process = _start(
        *("demo", "--port", "0", "--transport", server.url),
        env={**os.environ, "EVMON_REDIS_CONNECT_WITHIN": "0.5"},
    )
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 1
    assert errors.startswith("evmon: server 127.0.0.1:")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("reason", [TransportError("away"), ConfigError("away")])
def test_a_group_of_errors_is_one_line(monkeypatch, capsys, reason):
    async def failing(*_):
        raise ExceptionGroup("two", [reason, ExceptionGroup("one", [reason])])

    monkeypatch.setattr("evmon._cli.app.run_demo", failing)

    assert main(["demo"]) == 1
    assert "evmon: away\n" == capsys.readouterr().err


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
        fault: _start("demo", "--port", "0", "--duration", "50", "--fault", fault)
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
@pytest.mark.timeout(150)
@pytest.mark.parametrize("fault", FAULT_ALERTS)
def test_each_fault_makes_its_own_warning_appear_and_clear(faulty_demos, fault):
    output, alert = faulty_demos[fault], FAULT_ALERTS[fault]

    assert f"{alert} (" in output
    assert f"{alert} cleared" in output
    breached = {other for other in FAULT_ALERTS.values() if f"{other} (" in output}
    assert {alert} == breached


def test_output_is_plain_without_a_terminal():
    assert not console().is_terminal
    assert console().color_system is None
