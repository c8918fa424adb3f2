import ast

import pytest
from tools.structure import body_lines, main, positional_parameters


def function(source):
    return ast.parse(source).body[0]


def lines(count, indent="    "):
    return f"{indent}x = 1\n" * count


def test_docstring_lines_do_not_count_in_a_body():
    source = f'def f():\n    """One.\n\n    Two.\n    """\n{lines(3)}'

    assert 3 == body_lines(function(source))


def test_a_body_that_is_only_a_docstring_has_no_lines():
    assert 0 == body_lines(function('def f():\n    """One."""\n'))


def test_lines_of_a_nested_function_count_except_its_docstring():
    nested = f'    @cache\n    def g():\n        """One."""\n{lines(2, " " * 8)}'

    assert 5 == body_lines(function(f"def f():\n{nested}    return g\n"))


def test_lines_of_one_statement_count_each():
    assert 3 == body_lines(function("def f():\n    return (\n        1\n    )\n"))


@pytest.mark.parametrize(
    ("signature", "count"),
    [
        ("", 0),
        ("a, /, b=1", 2),
        ("self, a", 1),
        ("cls, /, a", 1),
        ("a, *, b, c", 1),
        ("*args, a, **kwargs", 0),
    ],
)
def test_positional_parameters_are_counted_without_self_and_cls(signature, count):
    assert count == positional_parameters(function(f"def f({signature}): ..."))


@pytest.mark.parametrize(
    ("within", "beyond", "problem"),
    [
        pytest.param(lines(400, ""), lines(401, ""), "401 lines, limit 400", id="file"),
        pytest.param(
            f"def f():\n{lines(45)}",
            f"def f():\n{lines(46)}",
            "f(): body of 46 lines, limit 45",
            id="function",
        ),
        pytest.param(
            f"class A:\n    async def f(self):\n{lines(45, ' ' * 8)}",
            f"class A:\n    async def f(self):\n{lines(46, ' ' * 8)}",
            "f(): body of 46 lines, limit 45",
            id="async method",
        ),
        pytest.param(
            "def f(a, b, c, d, e, g, *, h): ...",
            "def f(a, b, c, d, e, g, h): ...",
            "f(): 7 positional parameters, limit 6",
            id="parameters",
        ),
    ],
)
def test_only_what_exceeds_a_limit_is_reported(
    within, beyond, problem, tmp_path, capsys
):
    path = tmp_path / "package" / "module.py"
    path.parent.mkdir()

    path.write_text(within)
    assert 0 == main([str(tmp_path)])
    assert "" == capsys.readouterr().out

    path.write_text(beyond)
    assert 1 == main([str(tmp_path)])
    assert problem in capsys.readouterr().out
