"""The metadata cache: the results of provider scans, for a limited time."""

import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from evmon._clock import SYSTEM_CLOCK, Clock
from evmon._telemetry.meter import Meter, NoMeter
from evmon._telemetry.recorders import CacheRecorder, EvictionReason

V = TypeVar("V")


class _Reference(weakref.ref[Any]):
    """A weak reference to a provider, with the key of its entry."""

    __slots__ = ("key",)
    key: int


@dataclass(frozen=True, slots=True)
class _Entry(Generic[V]):
    provider: _Reference
    value: tuple[V, ...]
    expires: float


class MetadataCache(Generic[V]):
    """Caches the result of a scan for each provider, weakly and for a limited time.

    Keys are identities: a provider's own ``__eq__`` and ``__hash__`` are never called.
    An entry is removed when its provider is garbage-collected; a provider that cannot
    be weakly referenced is scanned each time. Values must not refer to their provider.
    There is no timer: expiry is checked on lookup. Thread-safe.

    Args:
        ttl_seconds: lifetime of an entry in seconds.
        clock: source of time.
        meter: meter of hits, misses and entries; by default nothing is measured.

    Example:
        >>> class Orders: ...
        >>> cache, orders = MetadataCache[str](300), Orders()
        >>> cache.get_or_scan(orders, lambda provider: ("created",))
        ('created',)
    """

    def __init__(
        self,
        ttl_seconds: float,
        clock: Clock = SYSTEM_CLOCK,
        meter: Meter | None = None,
    ) -> None:
        self._ttl_seconds = ttl_seconds
        self._monotonic = clock.monotonic
        self._recorder = CacheRecorder(meter or NoMeter())
        self._hit = self._recorder.hit
        self._entries: dict[int, _Entry[V]] = {}
        self._lock = threading.Lock()
        # A finalizer may run while this thread holds any lock, so it only appends here.
        self._collected: deque[weakref.ref[Any]] = deque()

    def __len__(self) -> int:
        self.sweep()
        return len(self._entries)

    def get_or_scan(
        self, provider: Any, scan: Callable[[Any], tuple[V, ...]]
    ) -> tuple[V, ...]:
        """Return the cached result for a provider; scan it if there is none.

        Args:
            provider: any object.
            scan: function that scans the provider.

        Raises:
            Exception: any error of `scan`; nothing is cached then.
        """
        if self._collected:
            self.sweep()
        key = id(provider)
        entry = self._entries.get(key)
        if entry is not None:
            if not self._is_valid(entry, provider):
                self._evict(key, entry, "invalidated")
            elif self._monotonic() >= entry.expires:
                self._evict(key, entry, "expired")
            else:
                self._hit(1)
                return entry.value
        started = self._monotonic()
        value = scan(provider)
        self._recorder.scanned(max(self._monotonic() - started, 0.0))
        self._store(provider, value)
        return value

    def invalidate(self, provider: Any) -> None:
        """Remove the entry of a provider, so that the next lookup scans it."""
        entry = self._entries.get(id(provider))
        if entry is not None:
            self._evict(id(provider), entry, "invalidated")

    def clear(self) -> None:
        """Remove all entries."""
        self.sweep()
        for key, entry in list(self._entries.items()):
            self._evict(key, entry, "invalidated")

    def sweep(self) -> None:
        """Remove and count the entries of providers that were garbage-collected."""
        while self._collected:
            try:
                reference = self._collected.popleft()
            except IndexError:  # another thread was faster
                return
            key = getattr(reference, "key", -1)
            entry = self._entries.get(key)
            if getattr(entry, "provider", None) is reference:
                self._evict(key, entry, "collected")

    @staticmethod
    def _is_valid(entry: Any, provider: Any) -> bool:
        """Whether an entry is valid and of this provider (ids are reused)."""
        return (
            type(entry) is _Entry
            and type(entry.value) is tuple
            and entry.provider() is provider
        )

    def _store(self, provider: Any, value: tuple[V, ...]) -> None:
        try:
            reference = _Reference(provider, self._collected.append)
        except TypeError:
            return
        reference.key = key = id(provider)
        entry = _Entry(reference, value, self._monotonic() + self._ttl_seconds)
        with self._lock:
            fresh = key not in self._entries
            self._entries[key] = entry
        if fresh:
            self._recorder.stored()

    def _evict(self, key: int, entry: Any, reason: EvictionReason) -> None:
        with self._lock:
            if self._entries.get(key) is not entry:
                return
            del self._entries[key]
        self._recorder.evicted(reason)
