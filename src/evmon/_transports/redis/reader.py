"""Reads entries: first its own pending ones, then those of idle consumers, then new ones."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from evmon._failpoints import ON, reach
from evmon._log_fields import about_many
from evmon._transports.base import Received
from evmon._transports.redis import scripts
from evmon._transports.redis.acks import Acks
from evmon._transports.redis.batch_size import BatchSize
from evmon._transports.redis.client import Client
from evmon._transports.redis.connections import Command
from evmon._transports.redis.consumer import Consumer
from evmon._transports.redis.errors import BrokenError, GroupGoneError
from evmon._transports.redis.groups import ConsumerGroups
from evmon._transports.redis.held import HeldEntries
from evmon._transports.redis.keys import MARK_SECONDS, MAX_MARKS
from evmon._transports.redis.waits import waits_of
from evmon.errors import TransportError

MAX_BLOCK: Final = 2.0
"""Maximum seconds that a read blocks; its socket times out that much later."""

IDLE_BLOCK: Final = 1.0
"""Seconds that a read blocks while no entries arrive and no retry is scheduled.

Shorter retries are waited for in the process, so a retry scheduled meanwhile is not late.
A stop may have to wait as long.
"""

RECLAIMS: Final = 10
"""Searches for idle consumers during one lease."""

PROMOTE_COUNT: Final = 100
"""Maximum number of due retries moved by one command."""

RECOVER_COUNT: Final = 100
"""Minimum number of pending entries recovered at once, unless the link is too slow."""

FAILURE_SECONDS: Final = 15.0
"""Seconds for which a failed read keeps /readyz failing; the next read comes sooner."""

SUSPECT_DELIVERIES: Final = 3
"""Deliveries from which on an entry is suspected of crashing its consumers.

A consumer holds at most one such entry, so a poison event cannot use up the deliveries of
its neighbours.
"""

SUSPECT_INTERVAL: Final = 0.05
"""Seconds until the next search while suspects are left."""

_log = logging.getLogger("evmon.transport")


class Reader:
    """The single reader of a consumer.

    Args:
        consumer: consumer to read for.
        client: connection to Redis of its own, because reads block.
        acks: acknowledgements, which are sent with the reads.
    """

    def __init__(self, consumer: Consumer, client: Client, acks: Acks) -> None:
        self._consumer = consumer
        self._client = client
        self._acks = acks
        self.groups = ConsumerGroups(consumer, client)
        self._by_stream = {held.stream.encode(): held for held in consumer.streams}
        self._reclaim_interval = consumer.lease / RECLAIMS
        self._next_reclaim = self._next_promotion = self._promotion_interval = 0.0
        self._more_to_reclaim = False
        self._next_stream = 0
        self._size = BatchSize()
        self._idle = False
        self._retries_scheduled = True
        self._scheduled_during_read = True
        self._failure = ""
        self._failed_at = self.idle = 0.0

    @property
    def failure(self) -> str:
        """Why the last read failed; empty if it did not, or long ago."""
        age = self._consumer.clock.monotonic() - self._failed_at
        return self._failure if age < FAILURE_SECONDS else ""

    def retry_scheduled(self) -> None:
        """This consumer scheduled a retry: check the schedule until it is due."""
        self._retries_scheduled = self._scheduled_during_read = True

    async def read(self, max_count: int, max_wait: float) -> list[Received]:
        """The next entries; empty if none arrived within `max_wait` seconds.

        Raises:
            TransportError: the read failed; the next one recovers what it delivered.
        """
        self.groups.needed = True
        self.idle = 0.0
        try:
            if not self.groups.exist:
                await self.groups.create()
            entries = (
                await self._recover(max_count)
                or await self._reclaim(max_count)
                or await self._read_new(self._size.of(max_count), max_wait)
            )
            self._size.arrived([len(received.raw) for received in entries])
        except BaseException as error:
            if isinstance(error, TransportError):
                self._failure = str(error)
                self._failed_at = self._consumer.clock.monotonic()
            if isinstance(error, BrokenError):
                self._size.failed()
            # Redis may have delivered entries in a reply that was lost.
            for held in self._consumer.streams:
                held.recover_from = "-"
            if isinstance(error, GroupGoneError):
                self.groups.mark_deleted()
            raise
        self._failure = ""
        return entries

    async def promote(self) -> bool:
        """Move due retries from the schedule to their streams.

        Returns:
            Whether more may be due.

        Raises:
            TransportError: the server cannot be reached, or refuses.
        """
        keys = self._consumer.keys
        moved, unreadable = await self._client.eval(
            scripts.PROMOTE,
            (
                *(keys.retry, keys.retry_entries, keys.dead),
                *(held.stream for held in self._consumer.streams),
            ),
            (PROMOTE_COUNT,),
        )
        if unreadable:
            self._consumer.recorder.unreadable(unreadable)
            subject = about_many(unreadable)
            _log.error(
                "the scheduled retries of %s cannot be read: moved to the dead letters;"
                " see 'evmon dlq list --reason unreadable'",
                subject,
                extra=subject.fields,
            )
        return bool(moved >= PROMOTE_COUNT)

    async def _recover(self, max_count: int) -> list[Received]:
        """This consumer's pending entries whose delivery was lost."""
        for held in self._consumer.streams:
            while held.recover_from is not None:
                count = self._size.of(max(max_count, RECOVER_COUNT))
                with held.listing_pending():
                    start = held.recover_from
                    cursor, entries, trimmed = await self._client.eval(
                        scripts.RECOVER,
                        (held.stream,),
                        (
                            *(held.group, self._consumer.name, start, count),
                            *held.known(),
                        ),
                    )
                    held.recover_from = cursor.decode() or None
                    unknown = [i for i in trimmed if not held.knows(i.decode())]
                    await self._ack_trimmed(held, unknown)
                    added = held.add_pending(entries)
                if added:
                    subject = about_many(len(added), added)
                    _log.info(
                        "recovered %s pending for this consumer",
                        subject,
                        extra=subject.fields,
                    )
                    return added
        return []

    async def _reclaim(self, max_count: int) -> list[Received]:
        """Pending entries of idle consumers."""
        now = self._consumer.clock.monotonic()
        if now < self._next_reclaim:
            return []
        suspects_left = 0
        for held in self._consumer.streams:
            entries, left = await self._reclaim_page(held, max_count)
            suspects_left += left
            if entries:
                if ON:
                    reach("after_reclaim")
                held.recorder.reclaimed(len(entries))
                subject = about_many(len(entries), entries)
                _log.info(
                    "reclaimed %s from idle consumers", subject, extra=subject.fields
                )
                return entries
            if held.reclaim_cursor != "0-0":
                self._more_to_reclaim = True
                return []
        interval = self._reclaim_interval
        if suspects_left:
            interval = min(interval, SUSPECT_INTERVAL)
        self._next_reclaim = now + interval
        self._more_to_reclaim = suspects_left > 0
        return []

    async def _reclaim_page(
        self, held: HeldEntries, max_count: int
    ) -> tuple[list[Received], int]:
        """Reclaim from one stream; returns the entries, and how many suspects are left."""
        consumer = self._consumer
        max_count = self._size.of(max_count)
        max_suspects = 0 if self._holds_suspect() else 1
        with held.listing_pending():
            owners = await self._idle_owners(held, max_count)
            if not owners:
                held.reclaim_cursor = "0-0"
                return [], 0
            others = sorted(owners - {consumer.name.encode()})
            prefix = consumer.keys.reclaimed("").encode()
            cursor, entries, trimmed, left = await self._client.eval(
                scripts.RECLAIM,
                (
                    *(held.stream, consumer.keys.reclaimed(consumer.name)),
                    *(prefix + other for other in others),
                ),
                (
                    *(held.group, consumer.name, consumer.lease_ms),
                    *(held.reclaim_cursor, max_count, MARK_SECONDS),
                    *(SUSPECT_DELIVERIES, max_suspects, MAX_MARKS, *others),
                ),
            )
            held.reclaim_cursor = cursor.decode()
            self._report_lost([i for i in trimmed if not held.knows(i.decode())])
            return held.add_pending(entries), left

    async def _idle_owners(self, held: HeldEntries, max_count: int) -> set[bytes]:
        """Names of the consumers that the next page of expired leases belongs to.

        A script must declare its keys, and each consumer has one of its own.
        """
        rows = await self._client.call(
            *("XPENDING", held.stream, held.group, "IDLE", self._consumer.lease_ms),
            *(held.reclaim_cursor, "+", max_count),
        )
        return {owner for _, owner, _, _ in rows}

    def _holds_suspect(self) -> bool:
        held = self._consumer.held()
        return any(received.deliveries >= SUSPECT_DELIVERIES for received in held)

    async def _read_new(self, max_count: int, max_wait: float) -> list[Received]:
        """At most `max_count` new entries."""
        self._promotion_interval = max_wait
        streams = len(self._consumer.streams)
        if max_count < streams:
            # COUNT applies to each stream. So read the streams in turns, without
            # blocking on one while another may have entries.
            for _ in range(-(-streams // max_count)):
                entries = await self._exchange(self._next_streams(max_count), 1, None)
                if entries:
                    return entries
        count = max(max_count // streams, 1)
        return await self._exchange(self._next_streams(streams), count, max_wait)

    async def _exchange(
        self, streams: Sequence[HeldEntries], count: int, max_wait: float | None
    ) -> list[Received]:
        """Send acknowledgements, check the retry schedule and read, in one round trip."""
        now = self._consumer.clock.monotonic()
        checks_schedule = now >= self._next_promotion
        if checks_schedule:
            self._next_promotion = now + self._promotion_interval
            if self._retries_scheduled and await self._try_promote():
                self._next_promotion = now
        # Nothing may fail between here and the `try`: the acknowledgements would be lost.
        acks = [
            (held, held.start_acks())
            for held in self._consumer.streams
            if held.unsent_acks
        ]
        commands = [self._acks.command(held, batch) for held, batch in acks]
        if checks_schedule:
            commands.append(("ZCARD", self._consumer.keys.retry))
        self._scheduled_during_read = False
        block = None if max_wait is None else self._block(max_wait, now)
        commands.append(self._read_command(streams, count, block))
        sent = False
        try:
            replies = await self._client.pipe(commands)
            acked = [
                self._acks.report(held, reply, batch)
                for (held, batch), reply in zip(acks, replies, strict=False)
            ]
            if not all(acked):
                await self._client.check_primary()
            sent = True
            if ON and acks:
                reach("after_ack")
        finally:
            for held, batch in acks:
                held.end_acks(batch, sent=sent)
        if checks_schedule:
            self._retries_scheduled = bool(replies[-2]) or self._scheduled_during_read
        entries = self._add(replies[-1])
        self.idle = self._consumer.server_clock.idle(now, replies[-1])
        self._idle = not entries
        return entries

    async def _try_promote(self) -> bool:
        """Promote; a server without memory refuses it, but not the read.

        Returns:
            Whether more may be due.
        """
        try:
            return await self.promote()
        except BrokenError:
            raise
        except TransportError as error:
            _log.debug("cannot promote scheduled retries: %s", error)
            return False

    def _next_streams(self, count: int) -> Sequence[HeldEntries]:
        """The next `count` streams in turn; each is first equally often."""
        streams, start = self._consumer.streams, self._next_stream
        in_turn = (*streams[start:], *streams[:start])
        served = count if count < len(in_turn) else 1
        self._next_stream = (start + served) % len(in_turn)
        return in_turn[:count]

    def _block(self, max_wait: float, now: float) -> float:
        """Seconds for which a read blocks."""
        if self._idle and not self._retries_scheduled:
            max_wait = max(max_wait, IDLE_BLOCK)
        if self._more_to_reclaim:
            max_wait = min(max_wait, max(self._next_reclaim - now, 0.0))
        if self._next_promotion <= now:
            max_wait = 0.0
        return min(max_wait, MAX_BLOCK)

    def _read_command(
        self, streams: Sequence[HeldEntries], count: int, block: float | None
    ) -> Command:
        # BLOCK 0 would wait forever.
        options = () if block is None else ("BLOCK", max(int(block * 1000), 1))
        return (
            *("XREADGROUP", "GROUP", self._consumer.group, self._consumer.name),
            *("COUNT", count, *options),
            *("STREAMS", *(held.stream for held in streams), *(">" for _ in streams)),
        )

    def _add(self, reply: Any) -> list[Received]:
        added: list[Received] = []
        for stream, entries in reply or ():
            held = self._by_stream[stream]
            new = held.add_new(entries)
            held.recorder.waited(waits_of(new, self._consumer.server_clock))
            added += new
        return added

    async def _ack_trimmed(self, held: HeldEntries, ids: Sequence[bytes]) -> None:
        """Acknowledge pending entries that were trimmed, and count them as lost."""
        if ids:
            acked = await self._client.call("XACK", held.stream, held.group, *ids)
            # Another process may do the same: only the one that acknowledges counts.
            self._report_lost(ids[:acked])

    def _report_lost(self, ids: Sequence[bytes]) -> None:
        if ids:
            self._consumer.recorder.lost("trimmed", len(ids))
            subject = about_many(len(ids), entry_ids=[i.decode() for i in ids])
            _log.error(
                "lost %s: trimmed from the stream before they were handled",
                subject,
                extra=subject.fields,
            )
