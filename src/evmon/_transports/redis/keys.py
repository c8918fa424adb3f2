"""Names of the keys of a service."""

from typing import Final

MARK_SECONDS: Final = 86_400
"""Seconds for which the sets of trimmed and reclaimed entries are kept."""

MAX_MARKS: Final = 10_000
"""Entries reclaimed from one consumer that are kept one by one."""


class Keys:
    """The keys of a service; one hash tag keeps them in one slot of a cluster.

    Args:
        service: name of the service.

    Example:
        >>> Keys("shop").stream(), Keys("shop").stream("orders")
        ('evmon:{shop}:events', 'evmon:{shop}:events:orders')
    """

    def __init__(self, service: str) -> None:
        self.service = service
        """Name of the service."""
        self._prefix = f"evmon:{{{service}}}"
        self.pattern = f"{self._prefix}:*"
        """Pattern that matches all keys of the service."""
        self.dead = f"{self._prefix}:dead"
        """Stream of dead letters."""
        self.retry = f"{self._prefix}:retry"
        """Sorted set: scheduled retries by due time."""
        self.retry_entries = f"{self._prefix}:retry:entries"
        """Hash: stream and fields of each scheduled retry."""
        self.runs = f"{self._prefix}:runs"
        """Hash: by stream and group, the server run whose counters were last verified."""
        self.clock = f"{self._prefix}:clock"
        """Hash: what is known of the server's clock."""

    def stream(self, name: str = "") -> str:
        """The service's own stream, or an additional one."""
        return f"{self._prefix}:events:{name}" if name else f"{self._prefix}:events"

    def producer(self, name: str) -> str:
        """The ticket of a producer's last batch."""
        return f"{self._prefix}:producer:{name}"

    def trimmed(self, consumer: str) -> str:
        """The set of entries that were trimmed while a consumer held them."""
        return f"{self._prefix}:trimmed:{consumer}"

    def reclaimed(self, consumer: str) -> str:
        """The set of entries that were reclaimed from a consumer."""
        return f"{self._prefix}:reclaimed:{consumer}"
