"""Names of keys, and the fields of an entry: what stands in Redis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

EVENT: Final = b"event"
ATTEMPTS: Final = b"attempts"
HANDLERS: Final = b"handlers"
GROUP: Final = b"group"
FIRST_FAILED: Final = b"first_failed"
REDRIVEN: Final = b"redriven"
PACKED: Final = b"packed"
OWN_FIELDS: Final = (EVENT, ATTEMPTS, HANDLERS, GROUP, FIRST_FAILED, REDRIVEN)
DEAD_PREFIX: Final = b"dead."

NOTED_SECONDS: Final = 86_400
"""Seconds for which Redis notes what was trimmed in a consumer's hands, or taken from it."""

Fields = Sequence[bytes]
"""Names and values in turn, as Redis sends them."""


class Keys:
    """The keys of a service, all in one slot of a cluster by their hash tag.

    Example:
        >>> Keys("shop").stream(), Keys("shop").stream("orders")
        ('evmon:{shop}:events', 'evmon:{shop}:events:orders')
    """

    def __init__(self, service: str) -> None:
        self._prefix = f"evmon:{{{service}}}"
        self.dead = f"{self._prefix}:dead"
        self.retry = f"{self._prefix}:retry"
        self.retry_entries = f"{self._prefix}:retry:entries"
        self.runs = f"{self._prefix}:runs"
        """By stream and group, the run of the server whose counts can be believed."""

    def stream(self, name: str = "") -> str:
        """The stream, or one of several."""
        return f"{self._prefix}:events:{name}" if name else f"{self._prefix}:events"

    def producer(self, name: str) -> str:
        """Where Redis remembers the last batch of a producer."""
        return f"{self._prefix}:producer:{name}"

    def trimmed(self, consumer: str) -> str:
        """Where Redis notes what was trimmed while a consumer held it."""
        return f"{self._prefix}:trimmed:{consumer}"

    def taken(self, consumer: str = "") -> str:
        """Where Redis notes what was taken over from a consumer."""
        return f"{self._prefix}:taken:{consumer}"


@dataclass(frozen=True, slots=True)
class Extra:
    """What an entry carries besides the event, when it is not its first way.

    Attributes:
        attempts: handler attempts so far.
        handlers: names of the handlers that still have to see it; empty means all.
        group: the only group that it is for; empty means every group.
        first_failed: Unix time of the first failure; 0 when there was none.
        redriven: how often it was replayed from the dead letters.
    """

    attempts: int = 0
    handlers: tuple[str, ...] = ()
    group: str = ""
    first_failed: float = 0.0
    redriven: int = 0


def mapping(fields: Fields) -> dict[bytes, bytes]:
    """Names and values in turn as a mapping."""
    return dict(zip(fields[::2], fields[1::2], strict=False))


def read_extra(fields: Mapping[bytes, bytes]) -> Extra:
    """What an entry says of itself; strangers may write anything, so nothing raises."""
    names = fields.get(HANDLERS, b"").decode(errors="replace")
    return Extra(
        attempts=int(_number(fields.get(ATTEMPTS, b""))),
        handlers=tuple(name for name in names.split("\n") if name),
        group=fields.get(GROUP, b"").decode(errors="replace"),
        first_failed=_number(fields.get(FIRST_FAILED, b"")),
        redriven=int(_number(fields.get(REDRIVEN, b""))),
    )


def write_extra(extra: Extra) -> list[bytes]:
    """The fields that say it, only those that say something."""
    said = {
        ATTEMPTS: str(extra.attempts) if extra.attempts else "",
        HANDLERS: "\n".join(extra.handlers),
        GROUP: extra.group,
        FIRST_FAILED: f"{extra.first_failed:.3f}" if extra.first_failed else "",
        REDRIVEN: str(extra.redriven) if extra.redriven else "",
    }
    return [
        part
        for name, value in said.items()
        if value
        for part in (name, value.encode(errors="replace"))
    ]


def time_of(entry_id: str) -> float:
    """Unix time at which Redis made an id."""
    return int(entry_id.partition("-")[0]) / 1000


def _number(text: bytes) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value < 1e11 else 0.0
