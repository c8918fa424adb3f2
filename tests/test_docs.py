"""The documentation is up to date: its examples run, and the files it names exist."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

from evmon._log_fields import FIELDS, MANY_FIELDS
from evmon.errors import DEAD_LETTER_REASONS

ROOT = Path(__file__).parents[1]
EXAMPLES = [e for e in find_examples("README.md", "docs") if e.prefix == "python"]

CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)
PATH = re.compile(
    r"(?<![\w./:-])(?:(?:[\w.-]+/)+(?:[\w.-]*\w)?|\w+\.(?:py|lua|md|toml|yml))"
)
"""A folder, a file in a folder, or a file with one of these extensions."""

FOLDERS = ("", "src/evmon", "src/evmon/_transports/redis")
"""Folders that the paths are relative to."""


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_runs(example: CodeExample, eval_example: EvalExample, capsys):
    eval_example.run(example)

    if example.path.name == "README.md":
        output = capsys.readouterr().out
        assert "created 7\n" in output
        assert "audited order.created\n" in output
        assert "DiscoveryMetrics(pending=0, registered=2" in output


def _exists(path):
    pattern = path.replace("NAME", "*")
    return any(any((ROOT / folder).glob(pattern)) for folder in FOLDERS)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_file_named_for_contributors_exists(page):
    text = (ROOT / page).read_text("utf-8")
    named = set(PATH.findall("\n".join(CODE.findall(text))))

    missing = {path for path in named if not _exists(path)}

    assert 10 < len(named)
    assert set() == missing


def test_the_guide_lists_every_dead_letter_reason():
    guide = (ROOT / "docs" / "guide.md").read_text("utf-8")
    section = guide.partition("\n## Dead letters\n")[2].partition("\n## ")[0]
    listed = [line for line in section.splitlines() if line.startswith("| `")]

    for reason in DEAD_LETTER_REASONS:
        assert any(f"`{reason}`" in line for line in listed), reason


def _section(heading):
    guide = (ROOT / "docs" / "guide.md").read_text("utf-8")
    return re.split(r"\n#+ ", guide.partition(f"\n{heading}\n")[2])[0]


def test_the_guide_lists_every_field_of_a_record_about_events():
    listed = re.findall(r"^\| `(\w+)` \|", _section("### Logging"), re.MULTILINE)

    assert [*FIELDS, *MANY_FIELDS] == listed


FAILING = """
import asyncio
from evmon import EventBus, RetryPolicy, event_handler
from evmon.testing import settled

@event_handler("order.created")
async def broken(event):
    raise ValueError("first\\nsecond")

async def main():
    bus = EventBus(service="shop", retry=RetryPolicy(max_retries=0))
    bus.register(broken)
    async with bus:
        await bus.publish("order.created", 1, id="7")
        await settled(bus)

asyncio.run(main())
"""


def test_the_documented_logging_configuration_writes_a_line_of_json_per_record():
    (snippet,) = re.findall(r"```py\n(.*?)```", _section("### Logging"), re.DOTALL)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", snippet + FAILING],
        capture_output=True,
        text=True,
        check=True,
    )
    records = [json.loads(line) for line in run.stderr.splitlines()]
    (gave_up,) = [r for r in records if "gave up" in r["message"]]

    assert {"evmon.bus", "evmon.consumer"} == {r["logger"] for r in records}
    assert ["7", "order.created", "1", "__main__.broken", 1] == [
        gave_up[field] for field in FIELDS
    ]
    assert "ValueError: first" in gave_up["traceback"]
