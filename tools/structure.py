"""Fails when a file, a function body or a parameter list is too long.

``python -m tools.structure src chaos`` checks all Python files below the folders.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

MAX_FILE_LINES: Final = 400
MAX_BODY_LINES: Final = 45
MAX_POSITIONAL: Final = 6

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def body_lines(function: Function) -> int:
    """Lines of the body, without its docstring and those of nested functions."""
    first = function.body[0]
    start = min([first.lineno, *(d.lineno for d in _decorators(first))])
    docstrings = sum(_docstring_lines(node) for node in ast.walk(function))
    return (function.end_lineno or start) - start + 1 - docstrings


def positional_parameters(function: Function) -> int:
    """Parameters that can be passed by position, without ``self`` and ``cls``."""
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def problems_of(path: Path) -> Iterator[str]:
    """One line for each limit that the file exceeds.

    Args:
        path: Python file to check.
    """
    text = path.read_text("utf-8")
    lines = len(text.splitlines())
    if lines > MAX_FILE_LINES:
        yield f"{path}: {lines} lines, limit {MAX_FILE_LINES}"
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, Function):
            continue
        where = f"{path}:{node.lineno}: {node.name}()"
        body = body_lines(node)
        if body > MAX_BODY_LINES:
            yield f"{where}: body of {body} lines, limit {MAX_BODY_LINES}"
        count = positional_parameters(node)
        if count > MAX_POSITIONAL:
            yield f"{where}: {count} positional parameters, limit {MAX_POSITIONAL}"


def main(folders: list[str]) -> int:
    """Print all problems below the folders; returns the exit code."""
    found = [
        problem
        for folder in folders
        for path in sorted(Path(folder).rglob("*.py"))
        for problem in problems_of(path)
    ]
    sys.stdout.writelines(f"{problem}\n" for problem in found)
    return 1 if found else 0


def _decorators(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, Function | ast.ClassDef):
        return node.decorator_list
    return []


def _docstring_lines(node: ast.AST) -> int:
    if not isinstance(node, Function | ast.ClassDef) or not ast.get_docstring(node):
        return 0
    docstring = node.body[0]
    return (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
