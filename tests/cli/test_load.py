"""A target that cannot be loaded is one line that names the line of the user."""

import pytest
from tests.cli.processes import start

from evmon._cli.app import main


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
    assert 1 == main([command, target.format(app=app)])
    error = capsys.readouterr().err
    assert message in error
    assert 1 == error.count("\n")


def test_an_error_in_a_module_is_reported_with_its_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "broken_app.py").write_text("import os\nbus = nonsense\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert 1 == main(["handlers", "broken_app:bus"])
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

    assert 1 == main([command, f"{name}:bus"])

    (error,) = capsys.readouterr().err.splitlines()
    assert error.endswith(f"({tmp_path / name}.py:{line})")


def test_a_failed_import_of_an_installed_application_names_its_line(
    tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "site-packages" / "installed_app"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("import json\njson.loads('{')\n")
    monkeypatch.syspath_prepend(folder.parent)

    assert 1 == main(["run", "installed_app:bus"])
    assert f"({folder / '__init__.py'}:2)" in capsys.readouterr().err


def test_the_traceback_of_a_failed_import_is_logged_at_debug(tmp_path):
    (tmp_path / "failing_app.py").write_text("import json\njson.loads('{')\n")

    for level, shown in (("debug", True), ("info", False)):
        process = start("run", "failing_app:bus", "--log-level", level, cwd=tmp_path)
        _, errors = process.communicate(timeout=30)
        assert 1 == process.returncode
        assert shown is ("    Traceback (most recent call last):" in errors)
