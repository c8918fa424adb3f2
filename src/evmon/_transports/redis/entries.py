"""Fields of a stream entry: the event, and what a retry or a replay adds to it."""

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

_LATEST: Final = 1e11
"""Upper limit of a Unix time or a count; a larger number is invalid."""

Fields = Sequence[bytes]
"""Names and values in turn, as Redis sends them."""


@dataclass(frozen=True, slots=True)
class Extra:
    """Extra fields of an entry that is a retry or a replay.

    Attributes:
        attempts: handler attempts so far.
        handlers: names of the handlers still to be called; empty means all.
        group: only group that handles the entry; empty means every group.
        first_failed: Unix time of the first failure; 0 if there was none.
        redriven: number of replays from the dead letters.
    """

    attempts: int = 0
    handlers: tuple[str, ...] = ()
    group: str = ""
    first_failed: float = 0.0
    redriven: int = 0


def mapping(fields: Fields) -> dict[bytes, bytes]:
    """Fields as a dictionary."""
    return dict(zip(fields[::2], fields[1::2], strict=False))


def read_extra(fields: Mapping[bytes, bytes]) -> Extra:
    """Parse the extra fields; invalid values count as absent.

    Other programs may write to the stream, so nothing raises.
    """
    names = fields.get(HANDLERS, b"").decode(errors="replace")
    return Extra(
        attempts=int(number(fields.get(ATTEMPTS, b""))),
        handlers=tuple(name for name in names.split("\n") if name),
        group=fields.get(GROUP, b"").decode(errors="replace"),
        first_failed=number(fields.get(FIRST_FAILED, b"")),
        redriven=int(number(fields.get(REDRIVEN, b""))),
    )


def write_extra(extra: Extra) -> list[bytes]:
    """The extra fields to write; default values are left out."""
    values = {
        ATTEMPTS: str(extra.attempts) if extra.attempts else "",
        HANDLERS: "\n".join(extra.handlers),
        GROUP: extra.group,
        FIRST_FAILED: f"{extra.first_failed:.3f}" if extra.first_failed else "",
        REDRIVEN: str(extra.redriven) if extra.redriven else "",
    }
    return [
        part
        for name, value in values.items()
        if value
        for part in (name, value.encode(errors="replace"))
    ]


def time_of(entry_id: str) -> float:
    """Unix time at which Redis generated an entry id."""
    return int(entry_id.partition("-")[0]) / 1000


def number(text: bytes | str) -> float:
    """A Unix time or a count; 0 if the text is none."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value < _LATEST else 0.0
