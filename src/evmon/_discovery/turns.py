"""Turns: providers whose handlers share names register in the order of the queue."""

from dataclasses import dataclass, field
from types import ModuleType

import anyio

from evmon._discovery.queue import Item


@dataclass(slots=True)
class Turn:
    """The turn of an item to register its handlers.

    Attributes:
        previous: end of the turn before; None if this is the first.
        ended: end of this turn.
    """

    previous: anyio.Event | None
    ended: anyio.Event = field(default_factory=anyio.Event)

    async def wait(self) -> None:
        """Wait until the turn before has ended."""
        if self.previous is not None:
            await self.previous.wait()

    def end(self) -> None:
        """Let the next item have its turn."""
        self.ended.set()


class Turns:
    """The turns of a batch: one sequence for each name of a class.

    Numbers of handlers of the same name, by which retries find them, would otherwise
    follow the order in which threads finish. Other providers do not wait.

    Example:
        >>> turn = turns.next(item)
        >>> await turn.wait()
        >>> turn.end()
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], anyio.Event] = {}

    def next(self, item: Item) -> Turn:
        """The turn of the next item in the queue."""
        provider = item.subject
        if item.is_module_name or isinstance(provider, ModuleType):
            return Turn(None)
        kind = provider if isinstance(provider, type) else type(provider)
        name = (kind.__module__, kind.__qualname__)
        turn = Turn(self._last.get(name))
        self._last[name] = turn.ended
        return turn
