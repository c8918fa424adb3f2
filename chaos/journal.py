"""Ground truth: append-only files that survive whatever happens to who writes them."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

POISON = "p"
"""Ids that end so make the handler refuse their event for good."""


class Journal:
    """A file that lines are appended to, each in one write.

    What was written is with the kernel when `write` returns, so kill -9 takes none of it
    back, and lines of several processes do not mix.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, lines: str) -> None:
        """Append whole lines."""
        os.write(self._fd, lines.encode())


@dataclass(frozen=True, slots=True)
class Handling:
    """One completed run of a handler.

    Attributes:
        id: of the event.
        pid: of the process.
        start: by the machine's monotonic clock.
        end: likewise.
        latency: seconds from its publication until it was handled, if measured.
    """

    id: str
    pid: int
    start: float
    end: float
    latency: float = 0.0


def chance(event_id: str) -> float:
    """A number in [0, 1) that belongs to an id, the same for everybody."""
    digest = hashlib.blake2b(event_id.encode(errors="replace"), digest_size=4)
    return int.from_bytes(digest.digest(), "big") / 2**32


def lines(folder: Path, pattern: str) -> Iterator[str]:
    """All whole lines of all files that match."""
    for path in sorted(folder.glob(pattern)):
        text = path.read_text()
        yield from text[: text.rfind("\n") + 1].splitlines()


def published(folder: Path) -> list[str]:
    """Ids whose publish returned."""
    return list(lines(folder, "published-*"))


def refused(folder: Path) -> list[str]:
    """Ids whose publish raised; they may appear or not."""
    return list(lines(folder, "refused-*"))


def handled(folder: Path) -> list[str]:
    """Ids that a handler was through with, as often as it was."""
    return [line.split(" ", 1)[0] for line in lines(folder, "handled-*")]


def handlings(folder: Path) -> list[Handling]:
    """The runs of handlers with their times."""
    found = []
    for line in lines(folder, "handled-*"):
        event_id, pid, *times = line.split()
        found.append(Handling(event_id, int(pid), *map(float, times)))
    return found
