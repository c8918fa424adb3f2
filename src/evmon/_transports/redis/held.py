"""The entries of one stream that a consumer holds: bookkeeping without I/O."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from evmon._telemetry.transport_recorder import StreamRecorder, no_recorder
from evmon._transports.base import Received
from evmon._transports.redis.entries import EVENT, Extra, Fields, mapping, read_extra

NO_EXTRA: Final = Extra()


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Where an entry was read from: the token of a `Received`.

    Attributes:
        held: held entries of the stream that it was read from.
        fields: all fields of the entry; empty if the event is the only one.
        extra: parsed extra fields.
    """

    held: "HeldEntries"
    fields: Fields = ()
    extra: Extra = NO_EXTRA


class HeldEntries:
    """The entries of one stream that this consumer holds.

    An entry is held from when it is read until it is acknowledged, settled or released
    here, or reclaimed by another consumer. An acknowledgement is in `unsent_acks` until it
    is being sent; until its reply, Redis may still list the entry as pending.

    Args:
        stream: key of the stream.
        group: name of the consumer group.
        name: name of an additional stream; empty for the service's own.
        recorder: recorder of the stream's metrics; None records nothing.
    """

    def __init__(
        self,
        stream: str,
        group: str,
        name: str = "",
        recorder: StreamRecorder | None = None,
    ) -> None:
        self.stream = stream
        self.group = group
        self.name = name
        self.recorder = recorder or no_recorder().stream()
        self.entries: dict[str, Received] = {}
        """Held entries by id."""
        self.unsent_acks: list[str] = []
        """Ids of entries to acknowledge."""
        self.reclaim_cursor = "0-0"
        """Id from which the next search for idle pending entries starts."""
        self.recover_from: str | None = "-"
        """Start of the next page of this consumer's own pending entries; None: no more."""
        self._acks_in_flight: list[list[str]] = []
        self._ended_while_listing: set[str] | None = None
        self._first_delivery = Origin(self)

    def knows(self, entry_id: str) -> bool:
        """Whether an entry is held, or ended although Redis may list it as pending."""
        return (
            entry_id in self.entries
            or entry_id in self.unsent_acks
            or entry_id in (self._ended_while_listing or ())
            or any(entry_id in batch for batch in self._acks_in_flight)
        )

    def known(self) -> list[str]:
        """Ids of entries that Redis may list as pending, and that are not new."""
        in_flight = (entry_id for batch in self._acks_in_flight for entry_id in batch)
        return [*self.entries, *self.unsent_acks, *in_flight]

    @contextmanager
    def listing_pending(self) -> Iterator[None]:
        """Remember what ends while pending entries are listed.

        It ends over another connection, so the list may still contain it.
        """
        self._ended_while_listing = set()
        try:
            yield
        finally:
            self._ended_while_listing = None

    def drop(self, entry_id: str) -> Received | None:
        """Hold an entry no longer; returns it if it was held."""
        if self._ended_while_listing is not None:
            self._ended_while_listing.add(entry_id)
        return self.entries.pop(entry_id, None)

    def add_new(self, entries: Sequence[Any]) -> list[Received]:
        """Hold new entries and return them.

        Args:
            entries: pairs of id and fields, as XREADGROUP returns them.
        """
        held, first_delivery, name = self.entries, self._first_delivery, self.name
        added = []
        for raw_id, fields in entries:
            entry_id = raw_id.decode()
            # A recreated group delivers entries again that are being handled.
            if entry_id in held:
                continue
            if len(fields) == 2 and fields[0] == EVENT:
                received = Received(entry_id, fields[1], 0, 1, (), first_delivery, name)
            else:
                parsed = self._parse(entry_id, fields, 1)
                if parsed is None:
                    continue
                received = parsed
            held[entry_id] = received
            added.append(received)
        return added

    def add_pending(self, entries: Iterable[Any]) -> list[Received]:
        """Hold pending entries that are not yet known, and return them.

        Args:
            entries: id, fields and number of deliveries of each.
        """
        added = []
        for raw_id, fields, deliveries in entries:
            entry_id = raw_id.decode()
            if self.knows(entry_id):
                continue
            received = self._parse(entry_id, fields, deliveries)
            if received is not None:
                self.entries[entry_id] = received
                added.append(received)
        return added

    def ack(self, entry_id: str) -> None:
        """Mark a held entry for acknowledgement."""
        if self.entries.pop(entry_id, None) is not None:
            self.unsent_acks.append(entry_id)

    def start_acks(self) -> list[str]:
        """Take the unsent acknowledgements, to send them; `end_acks` must follow."""
        batch, self.unsent_acks = self.unsent_acks, []
        self._acks_in_flight.append(batch)
        return batch

    def end_acks(self, batch: list[str], *, sent: bool) -> None:
        """Finish a batch of acknowledgements; if not `sent`, they are unsent again."""
        self._acks_in_flight = [b for b in self._acks_in_flight if b is not batch]
        if not sent:
            self.unsent_acks[:0] = batch
        elif self._ended_while_listing is not None:
            self._ended_while_listing.update(batch)

    def _parse(self, entry_id: str, fields: Fields, deliveries: int) -> Received | None:
        """An entry with extra fields or without an event; None if for another group."""
        named = mapping(fields)
        extra = read_extra(named)
        if extra.group and extra.group != self.group:
            self.unsent_acks.append(entry_id)
            return None
        return Received(
            entry_id,
            named.get(EVENT, b""),
            extra.attempts,
            deliveries,
            extra.handlers,
            Origin(self, fields, extra),
            self.name,
        )
