"""Providers and packages to be discovered, before and after the bus starts."""

import threading
import types
from types import ModuleType
from typing import Any, Final

from evmon._discovery.discovery import Discovery
from evmon.errors import BusStateError, ConfigError

_HOLD_NO_HANDLERS: Final = frozenset(
    {
        *(types.NoneType, bool, int, float, complex, str, bytes, bytearray),
        *(tuple, list, dict, set, frozenset),
    }
)
"""Types whose instances hold no handlers; those of subclasses may."""


class Registrations:
    """Keeps providers and packages until there is a discovery, then passes them to it.

    Thread-safe.

    Args:
        enabled: whether the bus runs discovery.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._closed = False
        self._lock = threading.Lock()
        self._discovery: Discovery | None = None
        self._providers: list[Any] = []
        self._packages: list[str] = []

    def register(self, provider: Any) -> None:
        """Queue a provider.

        Raises:
            ConfigError: it can hold no handlers.
            BusStateError: the bus runs no discovery, or was stopped.
        """
        self._check("register")
        _check_provider(provider)
        with self._lock:
            if self._discovery is None:
                self._providers.append(provider)
                return
        self._discovery.register(provider)

    def discover(self, package: str | ModuleType) -> None:
        """Queue a package and its modules.

        Raises:
            ConfigError: it is neither a module nor a name.
            BusStateError: the bus runs no discovery, or was stopped.
        """
        self._check("discover")
        if not package or not isinstance(package, (str, ModuleType)):
            raise ConfigError(
                f"discover({package!r:.80}): must be a module or its dotted name"
            )
        with self._lock:
            if self._discovery is None:
                name = package if isinstance(package, str) else package.__name__
                self._packages.append(name)
                return
        self._discovery.discover(package)

    def unregister(self, provider: Any) -> int:
        """Remove a provider; returns how many handlers it had registered."""
        with self._lock:
            if self._discovery is None:
                self._providers = [p for p in self._providers if p is not provider]
                return 0
        return self._discovery.unregister(provider)

    def pass_to(self, discovery: Discovery) -> None:
        """Queue everything in the discovery of the bus, and all later additions too."""
        with self._lock:
            self._queue_in(discovery)
            self._discovery = discovery
            self._providers.clear()
            self._packages.clear()

    def copy_to(self, discovery: Discovery) -> None:
        """Queue everything in another discovery, and keep it."""
        with self._lock:
            self._queue_in(discovery)

    def close(self) -> None:
        """Refuse further providers and packages."""
        self._closed = True

    def _check(self, method: str) -> None:
        if not self._enabled:
            raise BusStateError(
                f"{method}() needs auto_discovery=True; use add_handler() without it"
            )
        if self._closed:
            raise BusStateError("the bus has stopped: create a new EventBus")

    def _queue_in(self, discovery: Discovery) -> None:
        for provider in self._providers:
            discovery.register(provider)
        for package in self._packages:
            discovery.discover(package)


def _check_provider(provider: Any) -> None:
    if type(provider) in _HOLD_NO_HANDLERS:
        hint = f"; use discover({provider!r:.80})" if type(provider) is str else ""
        raise ConfigError(
            f"register({provider!r:.80}): must be an instance, class, module or function"
            f" with handlers{hint}"
        )
