"""Finds asserts whose expected value stands on the right of a comparison.

Run as `python -m tools.assert_order tests`: prints file and line of each, exits with 1.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_COMPARISONS: Final = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def misplaced(source: str) -> list[int]:
    """The lines of asserts such as `assert f(x) == 3`, which should be `3 == f(x)`.

    Args:
        source: Python code.

    Returns:
        Line numbers in ascending order.
    """
    return sorted(
        comparison.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assert)
        for comparison in _comparisons(node.test)
        if _is_misplaced(comparison)
    )


def _comparisons(test: ast.expr) -> Iterator[ast.Compare]:
    """The comparisons that an assert makes itself, also below `and`, `or`, `not`."""
    if isinstance(test, ast.Compare):
        yield test
    elif isinstance(test, ast.BoolOp):
        for value in test.values:
            yield from _comparisons(value)
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield from _comparisons(test.operand)


def _is_misplaced(comparison: ast.Compare) -> bool:
    operands = [comparison.left, *comparison.comparators]
    return all(isinstance(op, _COMPARISONS) for op in comparison.ops) and any(
        _constancy(right) > _constancy(comparison.left) for right in operands[1:]
    )


def _constancy(node: ast.expr) -> int:
    """2 for a constant, 1 for a literal that holds computed values, 0 for the rest."""
    match node:
        case ast.Constant():
            return 2
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return 2 if name.isupper() else 0
        case ast.UnaryOp(operand=operand) if not isinstance(node.op, ast.Not):
            return _constancy(operand)
        case ast.BinOp():
            return min(_constancy(node.left), _constancy(node.right))
        case ast.JoinedStr() | ast.Call(func=ast.Attribute(attr="approx")):
            return 1
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
            return min([2, *(max(1, _constancy(part)) for part in parts)])
        case ast.Dict(keys=keys, values=values):
            parts = [part for part in (*keys, *values) if part is not None]
            complete = None not in keys
            return min([1 + complete, *(max(1, _constancy(part)) for part in parts)])
        case _:
            return 0


def main(folders: list[str]) -> int:
    """Print each misplaced value of the folders' Python files.

    Args:
        folders: where to look, subfolders included.

    Returns:
        0 when there is none, else 1.
    """
    found = [
        f"{path}:{line}: expected value on the right: write `assert 3 == len(x)`\n"
        for folder in folders
        for path in sorted(Path(folder).rglob("*.py"))
        for line in misplaced(path.read_text("utf-8"))
    ]
    sys.stdout.writelines(found)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
