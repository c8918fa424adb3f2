"""Measures for how long publishing and handling stood still."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

KINDS: Final = ("published", "handled")
"""Kinds of journals that are watched."""

INTERVAL: Final = 0.02


class Pauses:
    """The longest time in which no journal of a kind grew.

    Args:
        folder: folder of the journals.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._grown = dict.fromkeys(KINDS, time.monotonic())
        self._sizes = {kind: self._size(kind) for kind in KINDS}
        self.longest = dict.fromkeys(KINDS, 0.0)
        """Seconds, by kind."""

    @property
    def figures(self) -> dict[str, float]:
        """The pauses by the name under which they are printed."""
        return {
            f"s without {name}": round(self.longest[kind], 1)
            for kind, name in zip(KINDS, ("publishing", "handling"), strict=True)
        }

    async def watch(self) -> None:
        """Watch until cancelled."""
        while True:
            now = time.monotonic()
            for kind in KINDS:
                size = self._size(kind)
                pause = now - self._grown[kind]
                self.longest[kind] = max(self.longest[kind], pause)
                if size != self._sizes[kind]:
                    self._sizes[kind], self._grown[kind] = size, now
            await asyncio.sleep(INTERVAL)

    def _size(self, kind: str) -> int:
        return sum(path.stat().st_size for path in self._folder.glob(f"{kind}-*"))


@contextlib.asynccontextmanager
async def measured_pauses(folder: Path) -> AsyncIterator[Pauses]:
    """Measure while the block runs.

    Args:
        folder: folder of the journals.
    """
    pauses = Pauses(folder)
    task = asyncio.create_task(pauses.watch())
    try:
        yield pauses
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
