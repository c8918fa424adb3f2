"""The registry: finds the handlers of an event type by compiled patterns."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import Any, Final, TypeAlias

from evmon._handlers.handlers import Handler
from evmon._handlers.published import Published
from evmon._telemetry.labels import UNKNOWN, label
from evmon.errors import ConfigError

_MAX_ROUTES: Final = 4096
MAX_PUBLISHED: Final = 1000
"""Declarations of published types, each of which may be a label in metrics."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """The handlers and the metric label of an event type.

    Attributes:
        handlers: handlers that match, in order of registration.
        label: the type itself if a handler is registered for exactly that, or it is
            declared as published, else the most specific matching pattern, else
            ``_unknown``. Never taken from an event.
        check: function that validates data that is published; None if there is none.
    """

    handlers: tuple[Handler, ...]
    label: str
    check: Callable[[Any], Any] | None = None


_NO_ROUTE: Final = Route((), UNKNOWN)


@dataclass(slots=True)
class _Node:
    """A node of the pattern tree, reached by one word of a pattern.

    Attributes:
        words: next nodes by word, ``*`` included.
        exact: handlers and declarations whose pattern ends here.
        deep: handlers and declarations whose pattern goes on with ``**``.
    """

    words: dict[str, "_Node"] = field(default_factory=dict)
    exact: list["_Entry"] = field(default_factory=list)
    deep: list["_Entry"] = field(default_factory=list)


_Entry: TypeAlias = tuple[int, Handler | Published]


class Registry:
    """Handlers by event type.

    Matching is one dictionary lookup for a known type, and a walk of the pattern tree,
    one step per word, for a new one.

    Example:
        >>> registry = Registry()
        >>> registry.match("order.created").handlers
        ()
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handlers: dict[int, Handler] = {}
        self._published: dict[str, Published] = {}
        self._root = _Node()
        self._routes: dict[str, Route] = {}
        self._next = 0
        self._numbers = _Numbers()
        self._observers: list[Callable[[int], None]] = []

    def __len__(self) -> int:
        return len(self._handlers)

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """All handlers, in the order of registration."""
        return tuple(self._handlers.values())

    def add(self, handlers: Iterable[Handler]) -> list[int]:
        """Register handlers; returns their keys for `remove`."""
        return self.replace((), handlers)

    def replace(self, keys: Iterable[int], handlers: Iterable[Handler]) -> list[int]:
        """Replace handlers by others atomically; returns the new keys.

        Handlers of the same name keep their numbers, by which retries find them.
        """
        with self._lock:
            removed = self._remove(keys)
            added = []
            for unnumbered in handlers:
                number = self._numbers.take(unnumbered.name)
                handler = replace(unnumbered, number=number)
                self._handlers[self._next] = handler
                _insert(self._root, self._next, handler)
                added.append(self._next)
                self._next += 1
            self._routes = {}
        self._notify(len(added) - removed)
        return added

    def declare(self, published: Published) -> None:
        """Declare what is published; again is allowed, with the same model.

        Raises:
            ConfigError: the pattern is declared with another model, or there are too
                many declarations.
        """
        pattern = published.pattern
        with self._lock:
            earlier = self._published.get(pattern)
            if earlier is not None:
                if earlier.model == published.model:
                    return
                raise ConfigError(
                    f"publishes({pattern!r}, {published.model!r}): it is declared with"
                    f" {earlier.model!r}"
                )
            if len(self._published) >= MAX_PUBLISHED:
                raise ConfigError(
                    f"publishes({pattern!r}): {MAX_PUBLISHED} are declared; declare a"
                    " pattern, such as 'order.*', for many types"
                )
            self._published[pattern] = published
            _insert(self._root, self._next, published)
            self._next += 1
            self._routes = {}
        self._notify(0)

    def observe(self, changed: Callable[[int], None]) -> Callable[[], None]:
        """Call `changed` with the number of handlers, then with each change of it.

        Args:
            changed: function that is called in the thread that makes the change.

        Returns:
            A function that ends the observation.
        """
        self._observers.append(changed)
        changed(len(self._handlers))
        return lambda: self._observers.remove(changed)

    def remove(self, keys: Iterable[int]) -> int:
        """Remove handlers; returns the number removed."""
        with self._lock:
            removed = self._remove(keys)
            self._routes = {}
        self._notify(-removed)
        return removed

    def match(self, event_type: str) -> Route:
        """The route of an event type."""
        routes = self._routes
        route = routes.get(event_type)
        if route is not None:
            return route
        route = self._find(event_type)
        # Types may come from untrusted publishers, so the cache is bounded.
        if len(routes) < _MAX_ROUTES:
            routes[event_type] = route
        return route

    def _remove(self, keys: Iterable[int]) -> int:
        removed = [
            (key, handler)
            for key in keys
            if (handler := self._handlers.pop(key, None)) is not None
        ]
        for key, handler in removed:
            _delete(self._root, key, handler)
            self._numbers.release(handler.name, handler.number)
        return len(removed)

    def _notify(self, change: int) -> None:
        for changed in tuple(self._observers):
            changed(change)

    def _find(self, event_type: str) -> Route:
        words = event_type.split(".")
        with self._lock:
            found = sorted(_walk(self._root, words), key=lambda entry: entry[0])
        if not found:
            return _NO_ROUTE
        entries = [entry for _, entry in found]
        handlers = tuple(entry for entry in entries if isinstance(entry, Handler))
        published = [entry for entry in entries if isinstance(entry, Published)]
        best = min((entry.pattern for entry in entries), key=_specificity)
        declared = min(published, key=lambda p: _specificity(p.pattern), default=None)
        return Route(handlers, label(best), declared.check if declared else None)


class _Numbers:
    """Numbers of handlers with the same name; the smallest free one is assigned."""

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}
        self._free: dict[str, list[int]] = {}

    def take(self, name: str) -> int:
        """Assign a number to a handler of this name."""
        free = self._free.get(name)
        if free:
            return heappop(free)
        number = self._highest[name] = self._highest.get(name, 0) + 1
        return number

    def release(self, name: str, number: int) -> None:
        """Make a number available again."""
        free = self._free.setdefault(name, [])
        heappush(free, number)
        if len(free) == self._highest[name]:
            del self._free[name], self._highest[name]


def matches(pattern: str, event_type: str) -> bool:
    """Whether a pattern matches an event type.

    Example:
        >>> matches("order.*", "order.created"), matches("order.*", "order.a.b")
        (True, False)
        >>> matches("order.**", "order.a.b"), matches("order.**", "order")
        (True, False)
    """
    root = _Node()
    _insert(root, 0, Handler("", pattern, None, lambda *_: None))
    return bool(_walk(root, event_type.split(".")))


def _insert(root: _Node, key: int, entry: Handler | Published) -> None:
    *first, last = entry.pattern.split(".")
    node = root
    for word in first:
        node = node.words.setdefault(word, _Node())
    if last == "**":
        node.deep.append((key, entry))
    else:
        node.words.setdefault(last, _Node()).exact.append((key, entry))


def _delete(root: _Node, key: int, handler: Handler) -> None:
    """Remove a handler and the nodes that become empty."""
    words = handler.pattern.split(".")
    path = [root]
    for word in words[:-1] if words[-1] == "**" else words:
        path.append(path[-1].words[word])
    last = path[-1]
    entries = last.deep if words[-1] == "**" else last.exact
    entries.remove((key, handler))
    for depth in range(len(path) - 1, 0, -1):
        node = path[depth]
        if node.words or node.exact or node.deep:
            break
        del path[depth - 1].words[words[depth - 1]]


def _walk(root: _Node, words: list[str]) -> list[_Entry]:
    found: list[_Entry] = []
    nodes = [root]
    for word in words:
        for node in nodes:
            found += node.deep
        nodes = [
            child
            for node in nodes
            for child in (node.words.get(word), node.words.get("*"))
            if child is not None
        ]
    for node in nodes:
        found += node.exact
    return found


def _specificity(pattern: str) -> tuple[int, int, str]:
    words = pattern.split(".")
    return (words.count("**"), words.count("*") - len(words), pattern)
