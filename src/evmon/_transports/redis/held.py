"""What a consumer holds of one stream: no I/O, only who has what."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from evmon._transports.base import Received
from evmon._transports.redis.keys import EVENT, Extra, Fields, mapping, read_extra

FIRST_WAY: Final = Extra()


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Where an entry came from: the token of a `Received`.

    Attributes:
        inbox: of the stream that it was read from.
        fields: all of them, if there is more than the event; else empty.
        extra: what they say.
    """

    inbox: "HeldEntries"
    fields: Fields = ()
    extra: Extra = FIRST_WAY


class HeldEntries:
    """The entries of one stream that are with this consumer.

    An entry is *held* from the moment it is read until it is ended here or another
    consumer took it over. Acks wait in `noted` and, while they are sent, in a batch on
    its way; an entry of which either is true was not lost on its way to us.

    Args:
        stream: key of the stream.
        group: name of the group.
    """

    def __init__(self, stream: str, group: str) -> None:
        self.stream = stream
        self.group = group
        self.held: dict[str, Received] = {}
        self.noted: list[str] = []
        self.cursor = "0-0"
        """Where the next look for silent consumers starts."""
        self.recovering: str | None = "-"
        """After which id the look at our own pending entries goes on; None: it is over."""
        self._on_their_way: list[list[str]] = []
        self._ended: set[str] | None = None
        self._plain = Origin(self)

    def knows(self, entry_id: str) -> bool:
        """Whether an entry is held, or done and its ack not through when we asked."""
        return (
            entry_id in self.held
            or entry_id in self.noted
            or entry_id in (self._ended or ())
            or any(entry_id in batch for batch in self._on_their_way)
        )

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Within, the server is asked what is pending, and its answer is taken.

        What ends meanwhile, over another connection, may be pending in that answer still.
        """
        self._ended = set()
        try:
            yield
        finally:
            self._ended = None

    def let_go(self, entry_id: str) -> Received | None:
        """An entry is not with us any more; returns it if it was."""
        if self._ended is not None:
            self._ended.add(entry_id)
        return self.held.pop(entry_id, None)

    def take_new(self, entries: Sequence[Any]) -> list[Received]:
        """Hold what a read brought: pairs of id and fields, as Redis sends them."""
        held, plain = self.held, self._plain
        taken = []
        for raw_id, fields in entries:
            entry_id = raw_id.decode()
            # A group that was made anew delivers again what is being handled.
            if entry_id in held:
                continue
            if len(fields) == 2 and fields[0] == EVENT:
                received = Received(entry_id, fields[1], 0, 1, (), plain)
            else:
                unusual = self._unusual(entry_id, fields, 1)
                if unusual is None:
                    continue
                received = unusual
            held[entry_id] = received
            taken.append(received)
        return taken

    def take_pending(self, entries: Iterable[Any]) -> list[Received]:
        """Hold what was pending: id, fields and number of deliveries of each."""
        taken = []
        for raw_id, fields, deliveries in entries:
            entry_id = raw_id.decode()
            if self.knows(entry_id):
                continue
            received = self._unusual(entry_id, fields, deliveries)
            if received is not None:
                self.held[entry_id] = received
                taken.append(received)
        return taken

    def done(self, entry_id: str) -> None:
        """An entry is done: its ack is noted."""
        if self.held.pop(entry_id, None) is not None:
            self.noted.append(entry_id)

    def start_acks(self) -> list[str]:
        """Take what was noted, to send it; `end_acks` must follow."""
        batch, self.noted = self.noted, []
        self._on_their_way.append(batch)
        return batch

    def end_acks(self, batch: list[str], *, sent: bool) -> None:
        """The acks arrived, or have to be sent again."""
        self._on_their_way = [b for b in self._on_their_way if b is not batch]
        if not sent:
            self.noted[:0] = batch
        elif self._ended is not None:
            self._ended.update(batch)

    def _unusual(
        self, entry_id: str, fields: Fields, deliveries: int
    ) -> Received | None:
        """An entry that carries more, or less, than an event; None if not for us."""
        named = mapping(fields)
        extra = read_extra(named)
        if extra.group and extra.group != self.group:
            self.noted.append(entry_id)
            return None
        return Received(
            entry_id,
            named.get(EVENT, b""),
            extra.attempts,
            deliveries,
            extra.handlers,
            Origin(self, fields, extra),
        )
