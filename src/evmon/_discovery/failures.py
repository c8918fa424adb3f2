"""Failures: the providers whose handlers are missing, and where the cause is."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from evmon._discovery.queue import Item
from evmon._text import one_line
from evmon.errors import DiscoveryError, EvmonError

FAILURES_KEPT: Final = 1000

_NAMED: Final = 3
"""Maximum number of providers that a health check names."""


@dataclass(frozen=True, slots=True)
class DiscoveryFailure:
    """A provider that could not be scanned, after all retries, or one of its handlers.

    Attributes:
        provider: name of the provider.
        error: the error of the last attempt.
        attempts: number of attempts.
        line: line of user code, such as `` (/srv/shop/app.py:7)``, or empty.

    Example:
        >>> [(failure.provider, failure.error) for failure in bus.discovery.failures]
        [('shop.app.Orders', DiscoveryError('…'))]
    """

    provider: str
    error: Exception
    attempts: int
    line: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """An error in user code.

    Attributes:
        error: the error.
        line: line of user code, such as `` (/srv/shop/app.py:7)``, or empty.
    """

    error: Exception
    line: str

    def __str__(self) -> str:
        name = "" if isinstance(self.error, EvmonError) else self._type_name
        return f"{name}{one_line(self.error)}{self.line}"

    @property
    def _type_name(self) -> str:
        return f"{type(self.error).__name__}: "


class Failures:
    """The failures of discovery; thread-safe.

    A provider that was queued before the start has ended is missing from its first
    failure until it is registered or withdrawn.

    Args:
        strict: whether a permanent failure during the start ends it.
    """

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        # With their items: an error may refer to a provider that is then unregistered.
        self._kept: deque[tuple[Item, DiscoveryFailure]] = deque(maxlen=FAILURES_KEPT)
        self._missing: dict[Item, str] = {}
        self._permanent: dict[Item, list[str]] = {}
        self.starting = True

    @property
    def kept(self) -> tuple[DiscoveryFailure, ...]:
        """The last 1,000 failures that were not forgotten, oldest first."""
        return tuple(failure for _, failure in list(self._kept))

    @property
    def problem(self) -> str:
        """Names the providers of the start that are missing; empty if there are none."""
        names = sorted(self._missing.values())
        if not names:
            return ""
        named = ", ".join(names[:_NAMED])
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return f"cannot discover {named}{more}"

    def ends_start(self, item: Item) -> bool:
        """Whether a permanent failure of an item ends the start."""
        return self._strict and self.starting and item.at_start

    def failed_once(self, item: Item, name: str) -> None:
        """Add an item that is retried."""
        if item.at_start:
            self._missing[item] = name

    def gave_up(
        self, item: Item, name: str, faults: Sequence[Fault], *, permanent: bool
    ) -> None:
        """Add an item that is not retried."""
        attempts = item.attempts + 1
        for fault in faults:
            failure = DiscoveryFailure(name, fault.error, attempts, fault.line)
            self._kept.append((item, failure))
        if permanent and self.ends_start(item):
            self._permanent[item] = [f"{name}: {fault}" for fault in faults]
        self.failed_once(item, name)

    def forget(self, subject: Any) -> None:
        """Remove a provider or module, which was registered or withdrawn.

        Args:
            subject: the provider, an instance of it, or the name of the module.
        """
        for item in list(self._missing):
            if _is_of(item, subject):
                self._missing.pop(item, None)
                self._permanent.pop(item, None)
        for kept in list(self._kept):
            if _is_of(kept[0], subject):
                with suppress(ValueError):  # another thread removed it
                    self._kept.remove(kept)

    def end_start(self) -> None:
        """End the start: later failures are only logged.

        Raises:
            DiscoveryError: a provider failed permanently, if that ends the start.
        """
        self.starting = False
        lines = [line for lines in self._permanent.values() for line in lines]
        self._permanent.clear()
        if lines:
            raise DiscoveryError(
                "discovery failed; DiscoveryConfig(strict=False) starts without it:\n"
                + "\n".join(f"- {line}" for line in lines)
            )


def _is_of(item: Item, subject: Any) -> bool:
    """Whether an item is of a provider, its class, or the module of that name."""
    if item.is_module_name:
        return type(subject) is str and bool(item.subject == subject)
    return item.subject is subject or item.subject is type(subject)
