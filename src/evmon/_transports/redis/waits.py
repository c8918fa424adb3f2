"""How long entries waited in their stream before they were first read."""

from collections.abc import Sequence

from evmon._transports.base import Received
from evmon._transports.redis.entries import time_of
from evmon._transports.redis.server_clock import ServerClock


def waits_of(entries: Sequence[Received], clock: ServerClock) -> list[float]:
    """Seconds since each entry was published; retries and replays are left out.

    Args:
        entries: entries that were just read for the first time.
        clock: the server's clock.
    """
    now = clock.time()
    waits: list[float] = []
    last = ""
    wait: float | None = None
    for entry in entries:
        if entry.token.extra.group:
            continue
        # Entries of one batch share the milliseconds of their ids.
        added, _, _ = entry.id.partition("-")
        if added != last:
            since = time_of(added)
            known = clock.is_age_known(since, now)
            last, wait = added, max(now - since, 0.0) if known else None
        if wait is not None:
            waits.append(wait)
    return waits
