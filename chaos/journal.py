"""Append-only files in which processes record event ids; they survive ``kill -9``."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

POISON = "p"
"""Last character of the ids of poison events, which the handler rejects."""


class Journal:
    """A file to which each call appends whole lines in one write.

    The kernel has the lines when `write` returns, so ``kill -9`` loses none, and lines of
    several processes are not interleaved.

    Args:
        path: path of the file, which is created.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, lines: str) -> None:
        """Append lines, each with its newline."""
        os.write(self._fd, lines.encode())


@dataclass(frozen=True, slots=True)
class HandlerRun:
    """One completed run of a handler.

    Attributes:
        id: id of the event.
        pid: process that ran the handler.
        start: start by the machine's monotonic clock, in seconds.
        end: end by the same clock.
        latency: seconds from publishing to the end, or 0 if not measured.
    """

    id: str
    pid: int
    start: float
    end: float
    latency: float = 0.0


def id_fraction(event_id: str) -> float:
    """A number in [0, 1) derived from the id, the same in every process."""
    digest = hashlib.blake2b(event_id.encode(errors="replace"), digest_size=4)
    return int.from_bytes(digest.digest(), "big") / 2**32


def is_fickle(event_id: str, share: float) -> bool:
    """Whether the handler rejects the event when it is redelivered.

    Args:
        event_id: id of the event.
        share: share of such events.
    """
    return id_fraction(f"fickle {event_id}") < share


def read_lines(folder: Path, pattern: str) -> Iterator[str]:
    """All complete lines of all files that match the pattern."""
    for path in sorted(folder.glob(pattern)):
        text = path.read_text()
        yield from text[: text.rfind("\n") + 1].splitlines()


def published_ids(folder: Path) -> list[str]:
    """Ids whose publish returned."""
    return list(read_lines(folder, "published-*"))


def refused_ids(folder: Path) -> list[str]:
    """Ids whose publish raised; their events may be in the stream or not."""
    return list(read_lines(folder, "refused-*"))


def handled_ids(folder: Path) -> list[str]:
    """Id of each completed handler run; repeated if an event was handled again."""
    return [line.split(" ", 1)[0] for line in read_lines(folder, "handled-*")]


def handler_runs(folder: Path) -> list[HandlerRun]:
    """All completed handler runs, with their times."""
    found = []
    for line in read_lines(folder, "handled-*"):
        event_id, pid, *times = line.split()
        found.append(HandlerRun(event_id, int(pid), *map(float, times)))
    return found
