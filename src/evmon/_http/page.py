"""The page of ``/metrics``: each family and each series once, whoever measured it.

Two libraries may name their instruments alike. Prometheus refuses a page with two
families of one name, and keeps one of two equal series without a word.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as om
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from evmon._http.negotiation import Format
from evmon._telemetry.text_format import RenderedFamily

_EMPTY_LABEL: Final = re.compile(r'(?<=[{,])[a-zA-Z0-9_]+="",?')
_SUFFIXES: Final = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "summary": ("_count", "_sum", "_created"),
    "info": ("_info",),
}
"""What the names of samples of a type append to that of the family."""


@dataclass(slots=True)
class _Block:
    """A family in the text format: its header and its samples."""

    name: str
    type: str
    head: str
    lines: str


class Page:
    """Collects families and writes them in a format.

    Args:
        written: format of the page.
        report: function that is told what was left out, and why.
    """

    def __init__(self, written: Format, report: Callable[[str], None]) -> None:
        self._format = written
        self._report = report
        self._blocks: dict[str, _Block] = {}
        self._owners: dict[str, str] = {}

    def add(self, family: Metric | RenderedFamily) -> None:
        """Add a family, or those of its series that the page does not have."""
        if isinstance(family, RenderedFamily) and self._format.escaping == om.DOTS:
            text = family.text(openmetrics=False)
            for parsed in text_string_to_metric_families(text):
                self.add(parsed)
        elif isinstance(family, RenderedFamily):
            head = family.head(openmetrics=self._format.openmetrics)
            self._add(_Block(_shown_name(head), family.type, head, family.lines))
        else:
            self._add_encoded(family)

    def text(self) -> str:
        """The page."""
        parts = [f"{block.head}{block.lines}" for block in self._blocks.values()]
        end = "# EOF\n" if self._format.openmetrics else ""
        return "".join((*parts, end))

    def _add_encoded(self, family: Metric) -> None:
        encode = om.generate_latest if self._format.openmetrics else generate_latest
        try:
            collector = _Single(_encodable(family))
            text = encode(collector, escaping=self._format.escaping).decode()
        except Exception as error:  # noqa: BLE001 - the other families are served
            kind = type(error).__name__
            self._report(f"cannot render {family.name} on /metrics: {kind}: {error}")
            return
        for block in _blocks(text.removesuffix("# EOF\n")):
            self._add(block)

    def _add(self, block: _Block) -> None:
        known = self._blocks.get(block.name)
        if known is None:
            names = _sample_names(block)
            taken = next((n for n in names if n in self._owners), None)
            if taken is not None:
                self._report(
                    f"left {block.name} out of /metrics: {taken} is also of"
                    f" {self._owners[taken]}"
                )
                return
            self._owners.update(dict.fromkeys(names, block.name))
            self._blocks[block.name] = block
        elif known.type != block.type:
            self._report(
                f"left a {block.type} out of /metrics: {block.name} is also a"
                f" {known.type}"
            )
        else:
            known.lines += self._new_lines(block, known.lines)

    def _new_lines(self, block: _Block, known: str) -> str:
        series = {_series_of(line) for line in known.splitlines()}
        new = []
        for line in block.lines.splitlines(keepends=True):
            if _series_of(line) in series:
                self._report(
                    f"left a series out of /metrics that two instruments have:"
                    f" {_series_of(line)}"
                )
            else:
                new.append(line)
                series.add(_series_of(line))
        return "".join(new)


class _Single(Collector):
    """A collector of one family, for the encoders of prometheus_client."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return [self._family]


def _encodable(family: Metric) -> Metric:
    """Keep each series once, and make labels encodable.

    A single lone surrogate would break every scrape.
    """
    for at, sample in enumerate(family.samples):
        if not all(value.isascii() for value in sample.labels.values()):
            labels = {
                name: value.encode(errors="replace").decode()
                for name, value in sample.labels.items()
            }
            family.samples[at] = sample._replace(labels=labels)
    return family


def _blocks(text: str) -> Iterator[_Block]:
    """The families of a text; `prometheus_client` may write several for one."""
    for part in re.split(r"(?m)^(?=# HELP )", text):
        lines = part.splitlines(keepends=True)
        head = "".join(line for line in lines if line.startswith("#"))
        if head:
            kind = re.search(r"(?m)^# TYPE .* (\w+)$", head)
            unique = dict.fromkeys(line for line in lines if not line.startswith("#"))
            yield _Block(
                _shown_name(head), kind[1] if kind else "", head, "".join(unique)
            )


def _shown_name(head: str) -> str:
    """The name of a family in its header; it may be quoted."""
    return head.split(" ", 3)[2]


def _sample_names(block: _Block) -> list[str]:
    """The names that a family and its samples may have."""
    # In the Prometheus format, the name of a counter ends in `_total` already.
    name = block.name.removesuffix("_total") if block.type == "counter" else block.name
    return [name, *(name + suffix for suffix in _SUFFIXES.get(block.type, ()))]


def _series_of(line: str) -> str:
    """Name and labels of a sample; a label that is empty is none."""
    return _EMPTY_LABEL.sub("", line.rpartition(" ")[0]).replace(",}", "}")
