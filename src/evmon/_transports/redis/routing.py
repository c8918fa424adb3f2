"""Selects the stream of each event by its type."""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Final

from evmon._log_fields import about
from evmon._transports.redis.keys import Keys

MAX_REPORTED: Final = 100
"""Maximum number of event types for which a failure of `stream_for` is logged."""

_log = logging.getLogger("evmon.transport")


class StreamRouter:
    """Selects streams by the user's function `stream_for`.

    Args:
        keys: keys of the service.
        names: names of the additional streams.
        stream_for: function from event type to one of `names`; any other result means
            the service's own stream. None sends all events there.
    """

    def __init__(
        self,
        keys: Keys,
        names: Collection[str],
        stream_for: Callable[[str], str] | None,
    ) -> None:
        self._keys = keys
        self._names = names
        self._stream_for = stream_for
        self._reported: set[str] = set()

    def names(self, types: Sequence[str]) -> list[str]:
        """Name of the stream of each event; empty if all go to the service's own.

        Args:
            types: types of the events.
        """
        if self._stream_for is None:
            return []
        return [self._name(self._stream_for, event_type) for event_type in types]

    def key(self, name: str = "") -> str:
        """Key of the service's own stream, or of an additional one."""
        return self._keys.stream(name)

    def _name(self, stream_for: Callable[[str], str], event_type: str) -> str:
        """Name of the stream; empty for the service's own."""
        try:
            name = stream_for(event_type)
        except Exception:  # noqa: BLE001 - the function is the user's code
            reported = self._reported
            if event_type not in reported and len(reported) < MAX_REPORTED:
                reported.add(event_type)
                subject = about(event_type=event_type)
                _log.exception(
                    "stream_for failed for %s: they go to %s",
                    subject,
                    self._keys.stream(),
                    extra=subject.fields,
                )
            return ""
        return name if name in self._names else ""
