"""The commands: output, exit codes, and one line for every error."""

import json
import os
import sys

import pytest
from tests.cli.processes import start, stops_in_order

from evmon import __version__
from evmon._cli.app import cli, main
from evmon._cli.output import console
from evmon.errors import ConfigError, TransportError

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["-h"],
        *([c, "--help"] for c in ("demo", "run", "handlers", "check")),
    ],
)
def test_help_shows_examples(arguments, capsys):
    assert 0 == main(arguments)
    output = capsys.readouterr().out
    assert "Examples:" in output
    assert "evmon " in output


def test_the_version_is_printed(capsys):
    assert 0 == main(["--version"])
    assert f"evmon, version {__version__}\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dance"], "No such command 'dance'"),
        (["demo", "--rate", "0"], "0.0 is not in the range"),
        (["demo", "--fault", "flood"], "'flood' is not one of"),
        (["demo", "--duration", "nan"], "'nan' is not a duration"),
        (["demo", "--rate", "inf"], "is not in the range"),
        (["run"], "Missing argument 'MODULE:BUS'"),
        (["run", "x:y", "--metrics-port", "70000"], "70000 is not in the range"),
    ],
)
def test_wrong_usage_is_one_line_that_names_help(arguments, message, capsys):
    assert 2 == main(arguments)
    error = capsys.readouterr().err
    assert error.startswith("evmon: ")
    assert message in error
    assert "--help" in error
    assert 1 == error.count("\n")


def test_handlers_are_printed_as_a_table(app, capsys):
    assert 0 == main(["handlers", f"{app}:bus"])

    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [
        ["PATTERN", "HANDLER", "KIND", "RETRIES"],
        ["order.*", f"{app}.Orders.audit", "thread", "default"],
        ["order.created", f"{app}.Orders.created", "async", "5"],
    ] == rows


def test_handlers_are_printed_as_json(app, capsys):
    assert 0 == main(["handlers", f"{app}:bus", "--json"])
    shown = json.loads(capsys.readouterr().out)

    assert [] == shown["failures"]
    assert {
        "pattern": "order.*",
        "handler": f"{app}.Orders.audit",
        "kind": "sync",
        "takes_many": False,
        "max_retries": None,
    } in shown["handlers"]


def test_a_provider_that_cannot_be_scanned_is_reported(app, capsys):
    assert 1 == main(["handlers", f"{app}:broken"])
    assert "register an instance instead" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_handlers_prints_each_failure_once(app, tmp_path, options):
    process = start("handlers", f"{app}:broken", *options, cwd=tmp_path)
    output, errors = process.communicate(timeout=20)

    assert 1 == process.returncode
    assert 1 == (output + errors).count("register an instance instead")
    if not options:
        assert errors.endswith(f"({tmp_path / app}.py:12)\n")


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

    assert 1 == main(["handlers", "hostile_app:bus"])

    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert line.endswith(f"({tmp_path / 'hostile_app.py'}:6)")


def test_handlers_of_one_name_are_told_apart(tmp_path, monkeypatch, capsys):
    (tmp_path / "twice_app.py").write_text(TWICE_APP)
    monkeypatch.syspath_prepend(tmp_path)

    assert 0 == main(["handlers", "twice_app:bus"])
    table = capsys.readouterr().out
    assert 0 == main(["handlers", "twice_app:bus", "--json"])

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
    assert 0 == main(arguments)

    lines = capsys.readouterr().out.splitlines()
    example = lines[lines.index("  Examples:") + 1]
    assert example.startswith(f"    evmon {' '.join(arguments[:-1])}")


def test_run_serves_until_a_signal(app):
    process = start(
        "run", f"{app}:bus", "--metrics-port", "0", "--metrics-host", "127.0.0.1"
    )
    try:
        started = process.stderr.readline()
        stops_in_order(process, within=10)
    finally:
        process.kill()
        process.wait()

    assert "MemoryTransport(), metrics: http://127.0.0.1:" in started


def test_run_stops_on_a_signal_while_it_waits_for_a_server(app, own_server):
    server = own_server()
    server.stop()
    process = start(
        *("run", f"{app}:bus", "--metrics-port", "0"),
        env={**os.environ, "EVMON_TRANSPORT": server.url},
    )
    try:
        assert "waiting for server" in process.stderr.readline()
        stops_in_order(process, within=5)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("command", [(), ("dlq",)])
def test_a_group_without_a_command_shows_its_help(command, capsys):
    assert 2 == main(command)
    shown = "".join(capsys.readouterr())
    assert "\n    evmon dlq list" in shown
    assert shown.startswith("Usage: evmon")


def test_a_port_in_use_is_reported_in_one_line(service, app):
    url, _ = service
    port = url.split(":")[2].split("/")[0]
    process = start("run", f"{app}:bus", "--metrics-port", port)
    _, errors = process.communicate(timeout=20)

    assert 1 == process.returncode
    assert f"127.0.0.1:{port}" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("reason", [TransportError("away"), ConfigError("away")])
def test_a_group_of_errors_is_one_line(monkeypatch, capsys, reason):
    async def failing(*_):
        raise ExceptionGroup("two", [reason, ExceptionGroup("one", [reason])])

    monkeypatch.setattr("evmon._cli.app.run_demo", failing)

    assert 1 == main(["demo"])
    assert "evmon: away\n" == capsys.readouterr().err


def test_output_is_plain_without_a_terminal():
    assert not console().is_terminal
    assert console().color_system is None
