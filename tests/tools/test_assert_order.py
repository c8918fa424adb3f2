"""The check that an assert compares the expected value on its left."""

import pytest
from tools.assert_order import main, misplaced


@pytest.mark.parametrize(
    "test",
    [
        "len(x) == 3",
        "x.count != 3",
        "x < 3",
        "x >= -1",
        "x == [1, f(y)]",
        "x == {'a': 1, **y}",
        "(x, y) == (1, 2)",
        "x == y == 3",
        "await x() == None",
        "x == MAX_SIZE",
        "x == limits.MAX_SIZE",
        "x == f'{y}'",
        "x == ['a'] * 3",
        "x == pytest.approx(y)",
        "x and not y == 3",
        "x > 1 or y",
        "x == 3, 'message'",
    ],
)
def test_an_expected_value_on_the_right_is_found(test):
    assert [2] == misplaced(f"async def test():\n    assert {test}\n")


@pytest.mark.parametrize(
    "test",
    [
        "3 == len(x)",
        "3 > x",
        "0 < x <= 3",
        "200 == x == y",
        "[1, f(y)] == x",
        "(1, 2) == (x, y)",
        "[x] == [y]",
        "1 == 2",
        "x == y",
        "x is None",
        "x is True",
        "x in (1, 2)",
        "x(y == 3)",
        "all(y == 3 for y in x)",
        "pytest.approx(1) == x",
    ],
)
def test_other_asserts_are_accepted(test):
    assert [] == misplaced(f"async def test():\n    assert {test}\n")


def test_comparisons_outside_of_asserts_are_accepted():
    assert [] == misplaced("while x == 3:\n    y = x < 4\n")


def test_the_report_names_file_and_line_and_fails(tmp_path, capsys):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "test_a.py").write_text("x = 1\nassert x == 1\n")
    (tmp_path / "test_b.py").write_text("assert 1 == x\n")

    assert 1 == main([str(tmp_path)])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{tmp_path / 'below' / 'test_a.py'}:2: ")


def test_without_findings_nothing_is_printed_and_it_passes(tmp_path, capsys):
    (tmp_path / "test_b.py").write_text("assert 1 == x\n")

    assert 0 == main([str(tmp_path)])
    assert "" == capsys.readouterr().out
