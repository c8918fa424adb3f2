"""The Python examples of README.md and docs/ run without errors."""

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

EXAMPLES = [e for e in find_examples("README.md", "docs") if e.prefix == "python"]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_runs(example: CodeExample, eval_example: EvalExample, capsys):
    eval_example.run(example)

    if example.path.name == "README.md":
        output = capsys.readouterr().out
        assert "created 7\n" in output
        assert "audited order.created\n" in output
        assert "DiscoveryMetrics(pending=0, registered=2" in output
