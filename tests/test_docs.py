"""The documentation is up to date: its examples run, and the files it names exist."""

import re
from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

from evmon.errors import DEAD_LETTER_REASONS

ROOT = Path(__file__).parents[1]
EXAMPLES = [e for e in find_examples("README.md", "docs") if e.prefix == "python"]

# A path with a folder, or the name of a file; not a URL, and not a path on /metrics.
FILE = re.compile(
    r"(?<![\w./:<-])(?:(?:[\w.-]+/)+[\w.-]*\w|(?:[\w.-]+/)+|[\w-]+\.(?:py|md|toml|yml))"
)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_runs(example: CodeExample, eval_example: EvalExample, capsys):
    eval_example.run(example)

    if example.path.name == "README.md":
        output = capsys.readouterr().out
        assert "created 7\n" in output
        assert "audited order.created\n" in output
        assert "DiscoveryMetrics(pending=0, registered=2" in output


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_file_named_for_contributors_exists(page):
    text = (ROOT / page).read_text("utf-8")
    named = set(FILE.findall("\n".join(re.findall(r"```.*?```|`[^`]+`", text, re.S))))
    folders = (ROOT, ROOT / "src" / "evmon")

    missing = {
        name
        for name in named
        if not any(any(f.glob(name.replace("NAME", "*"))) for f in folders)
    }

    assert len(named) > 10
    assert set() == missing


def test_the_guide_lists_every_dead_letter_reason():
    guide = (ROOT / "docs" / "guide.md").read_text("utf-8")
    section = guide.partition("\n## Dead letters\n")[2].partition("\n## ")[0]
    listed = [line for line in section.splitlines() if line.startswith("| `")]

    for reason in DEAD_LETTER_REASONS:
        assert any(f"`{reason}`" in line for line in listed), reason
