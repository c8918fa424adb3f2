"""Scaled-down runs; `scripts/chaos` does them in full."""

import sys

import pytest
from chaos.__main__ import main
from chaos.result import Options
from chaos.runs import entries, find

SLACK = 5.0
"""Seconds that other tests on the machine may delay a stop."""


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("run", "events"),
    [
        ("kill-processes", 100_000),
        ("kill-at-failpoints", 1),
        ("lose-replies", 4_000),
        ("damage-server-state", 2_000),
        ("stop-consumers", 8),
        ("fuzz-entries", 2_000),
        ("freeze-processes", 3),
        ("slow-link", 60),
    ],
)
async def test_run_passes(run, events):
    results = await find(run).run(Options(seed=1, events=events, slack=SLACK))

    assert [] == [
        f"{r.name}: {problem}; {r.figures}" for r in results for problem in r.problems
    ]


def test_a_run_is_found_by_its_id_and_by_its_name():
    assert "kill-processes" == find("t1").name
    assert find("t1") == find("kill-processes")


def test_an_unknown_run_is_an_error():
    with pytest.raises(KeyError, match="t99"):
        find("t99")


def test_help_lists_id_name_and_summary_of_each_run(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["chaos", "--help"])

    with pytest.raises(SystemExit):
        main()

    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    for entry in entries():
        assert [entry.id, entry.name, entry.summary] in lines


def test_an_unknown_run_on_the_command_line_is_a_usage_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["chaos", "t99"])

    with pytest.raises(SystemExit, match="2"):
        main()

    assert "unknown run 't99'" in capsys.readouterr().err
