"""The metadata cache: what a scan of a provider found, for as long as it may be true."""

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
    """A weak reference that knows under which key it stands."""

    __slots__ = ("key",)
    key: int


@dataclass(frozen=True, slots=True)
class _Entry(Generic[V]):
    provider: _Reference
    value: tuple[V, ...]
    expires: float


class MetadataCache(Generic[V]):
    """Keeps the result of a scan for each provider, weakly and for a limited time.

    Entries go by identity: a provider's own ``__eq__`` and ``__hash__`` are never
    called. A dropped provider takes its entry with it; one that cannot be weakly
    referenced is scanned each time. Values must not refer to their provider. There is
    no timer: an entry expires when it is looked up. Thread-safe.

    Args:
        ttl_seconds: how long an entry is good for.
        clock: whose monotonic time counts.
        meter: what hits, misses and entries are measured with.

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
        # The garbage collector may run anywhere, also inside a lock of OpenTelemetry:
        # all that it may do here is to note who died.
        self._dead: deque[weakref.ref[Any]] = deque()

    def __len__(self) -> int:
        self.sweep()
        return len(self._entries)

    def get_or_scan(
        self, provider: Any, scan: Callable[[Any], tuple[V, ...]]
    ) -> tuple[V, ...]:
        """Return what is known of a provider; look at it if nothing is.

        Args:
            provider: any object.
            scan: looks at the provider; its exceptions pass through, nothing is kept.
        """
        if self._dead:
            self.sweep()
        key = id(provider)
        entry = self._entries.get(key)
        if entry is not None:
            if not self._is_good(entry, provider):
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
        """Forget a provider, so that the next lookup scans it."""
        entry = self._entries.get(id(provider))
        if entry is not None:
            self._evict(id(provider), entry, "invalidated")

    def clear(self) -> None:
        """Forget everything."""
        self.sweep()
        for key, entry in list(self._entries.items()):
            self._evict(key, entry, "invalidated")

    def sweep(self) -> None:
        """Remove the entries of providers that were dropped, and count them."""
        while self._dead:
            try:
                reference = self._dead.popleft()
            except IndexError:  # another thread was quicker
                return
            key = getattr(reference, "key", -1)
            entry = self._entries.get(key)
            if getattr(entry, "provider", None) is reference:
                self._evict(key, entry, "collected")

    @staticmethod
    def _is_good(entry: Any, provider: Any) -> bool:
        """Whether an entry is one, and this provider's (ids are used again)."""
        return (
            type(entry) is _Entry
            and type(entry.value) is tuple
            and entry.provider() is provider
        )

    def _store(self, provider: Any, value: tuple[V, ...]) -> None:
        try:
            reference = _Reference(provider, self._dead.append)
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
