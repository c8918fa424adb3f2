"""Reading: own history first, then what silent consumers left, then what is new."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from evmon._clock import Clock
from evmon._failpoints import ON, reach
from evmon._telemetry.transport_recorder import TransportRecorder
from evmon._transports.base import Received
from evmon._transports.redis import scripts
from evmon._transports.redis.client import Client
from evmon._transports.redis.errors import BrokenError, GroupGoneError
from evmon._transports.redis.held import HeldEntries
from evmon._transports.redis.keys import NOTED_SECONDS, Keys, time_of
from evmon._transports.redis.pipelines import Command
from evmon.errors import TransportError

MAX_BLOCK: Final = 2.0
"""Seconds that a read blocks at the most; its socket waits so much longer."""

IDLE_BLOCK: Final = 1.0
"""Seconds that a read blocks while nothing comes and nothing waits for a retry.

No event waits for less in the schedule, so whoever puts it there is not late; if that
process dies, the others see it after two of them. A stop may have to wait as long.
"""

LOOKS: Final = 10
"""Looks for silent consumers in the time of a lease."""

PROMOTE_COUNT: Final = 100

RECOVER_COUNT: Final = 100
"""Pending entries that are listed at once at least; most of them are held already."""

FAILURE_STANDS: Final = 15.0
"""Seconds for which a failed read tells how reading goes; the next one is sooner."""

SUSPECT: Final = 3
"""Deliveries from which on an entry may be what kills its consumers.

A consumer holds one such entry at a time: those that are innocent are not delivered again
and again, until they are dead letters, because they were beside the one that is not.
"""

SUSPECTS_AGAIN: Final = 0.05
"""Seconds until the next one is looked for."""

_log = logging.getLogger("evmon.transport")


def promotion(keys: Keys) -> Command:
    """The command that moves what is due from the retry schedule to its stream."""
    schedule = (keys.retry, keys.retry_entries)
    return ("EVAL", scripts.PROMOTE, len(schedule), *schedule, PROMOTE_COUNT)


class Reader:
    """The one reader of a consumer, for one or several streams.

    Args:
        client: of its own, because reads block.
        inboxes: one for each stream; all have the same group.
        keys: of the service.
        consumer: name of this consumer, unique to it.
        lease: seconds of silence after which entries are taken over.
        recorder: measures.
        clock: time.
    """

    def __init__(
        self,
        client: Client,
        inboxes: Sequence[HeldEntries],
        keys: Keys,
        consumer: str,
        lease: float,
        recorder: TransportRecorder,
        clock: Clock,
    ) -> None:
        self._client = client
        self._inboxes = inboxes
        self._by_stream = {inbox.stream.encode(): inbox for inbox in inboxes}
        self._group = inboxes[0].group
        self._keys = keys
        self._consumer = consumer
        self._lease_ms = int(lease * 1000)
        self._reclaim_every = lease / LOOKS
        self._recorder = recorder
        self._clock = clock
        self.reads = False
        """Whether events are read here, and not published alone."""
        self._failure = ""
        self._failed_at = 0.0
        self._groups_made = 0
        self._next_reclaim = 0.0
        self._more_to_reclaim = False
        self._next_promotion = 0.0
        self._look_every = 0.0
        self._turn = 0
        self._idle = False
        self._scheduled = self._puts = True
        self.server_ahead = 0.0
        """Seconds by which the server's clock is ahead of ours."""

    @property
    def has_groups(self) -> bool:
        """Whether all groups were there when last heard of."""
        return self._groups_made > 0

    @property
    def misses_groups(self) -> bool:
        """Whether a group that is read from was not there when last heard of."""
        return self.reads and self._groups_made < 0

    @property
    def failure(self) -> str:
        """Why the last read failed; empty when it did not, or nothing is read since."""
        age = self._clock.monotonic() - self._failed_at
        return self._failure if age < FAILURE_STANDS else ""

    def schedules(self) -> None:
        """An event of ours is in the retry schedule: look there until it is due."""
        self._scheduled = self._puts = True

    async def make_groups(self) -> None:
        """Create what groups are missing, at the start of their streams.

        Raises:
            TransportError: the server refused.
        """
        self.reads = True
        again = self._groups_made < 0
        for inbox in self._inboxes:
            made = await self._make_group(inbox)
            if made and again:
                self._recorder.group_recreated()
                _log.error(
                    "group %s of %s was missing and has been recreated: it reads from"
                    " the start, so handled events are delivered again",
                    self._group,
                    inbox.stream,
                )
        self._groups_made = 1

    async def make_groups_again(self) -> None:
        """Create the groups that somebody deleted; who only publishes wants none.

        Raises:
            TransportError: the server refused.
        """
        if self.reads:
            self._groups_made = -1
            await self.make_groups()

    async def read(self, max_count: int, max_wait: float) -> list[Received]:
        """The next entries; empty when none came within `max_wait` seconds.

        Raises:
            TransportError: the read failed; the next one makes up for it.
        """
        self.reads = True
        try:
            if self._groups_made <= 0:
                await self.make_groups()
            entries = (
                await self._recover(max_count)
                or await self._reclaim(max_count)
                or await self._read_new(max_count, max_wait)
            )
        except BaseException as error:
            if isinstance(error, TransportError):
                self._failure = str(error)
                self._failed_at = self._clock.monotonic()
            # The answer may have been on its way, and entries with it.
            for inbox in self._inboxes:
                inbox.recovering = "-"
            if isinstance(error, GroupGoneError):
                self._groups_made = -1
            raise
        self._failure = ""
        return entries

    async def _make_group(self, inbox: HeldEntries) -> bool:
        try:
            await self._client.call("EVAL", scripts.GROUP, 1, inbox.stream, self._group)
        except TransportError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
            return False
        return True

    async def _recover(self, max_count: int) -> list[Received]:
        """What is pending under our name, and yet never arrived."""
        for inbox in self._inboxes:
            while inbox.recovering is not None:
                with inbox.asking():
                    cursor, entries, trimmed = await self._client.call(
                        *("EVAL", scripts.RECOVER, 1, inbox.stream),
                        *(self._group, self._consumer, inbox.recovering),
                        max(max_count, RECOVER_COUNT),
                    )
                    inbox.recovering = cursor.decode() or None
                    gone = [i for i in trimmed if not inbox.knows(i.decode())]
                    await self._lost(inbox, gone)
                    taken = inbox.take_pending(entries)
                if taken:
                    _log.info(
                        "recovered %d pending events of this consumer", len(taken)
                    )
                    return taken
        return []

    async def _reclaim(self, max_count: int) -> list[Received]:
        """What is pending under the names of consumers that are silent."""
        now = self._clock.monotonic()
        if now < self._next_reclaim:
            return []
        suspects = 0
        for inbox in self._inboxes:
            with inbox.asking():
                cursor, entries, trimmed, left = await self._client.call(
                    *("EVAL", scripts.RECLAIM, 2, inbox.stream, self._keys.taken()),
                    *(self._group, self._consumer),
                    *(self._lease_ms, inbox.cursor, max_count, NOTED_SECONDS),
                    *(SUSPECT, 0 if self._has_suspect() else 1),
                )
                suspects += left
                inbox.cursor = cursor.decode()
                self._count_lost([i for i in trimmed if not inbox.knows(i.decode())])
                taken = inbox.take_pending(entries)
            if taken:
                if ON:
                    reach("after_reclaim")
                self._recorder.reclaimed(len(taken))
                _log.info("reclaimed %d events from silent consumers", len(taken))
                return taken
            if inbox.cursor != "0-0":
                self._more_to_reclaim = True
                return []
        wait = self._reclaim_every
        self._next_reclaim = now + (min(wait, SUSPECTS_AGAIN) if suspects else wait)
        self._more_to_reclaim = suspects > 0
        return []

    def _has_suspect(self) -> bool:
        held = (received for inbox in self._inboxes for received in inbox.held.values())
        return any(received.deliveries >= SUSPECT for received in held)

    async def _read_new(self, max_count: int, max_wait: float) -> list[Received]:
        """New entries, at most as many as are wanted, or one of each stream."""
        self._look_every = max_wait
        streams = len(self._inboxes)
        if max_count < streams:
            # COUNT is for each stream. These take turns then, and none is waited for
            # while another one may have entries.
            for _ in range(-(-streams // max_count)):
                taken = await self._exchange(self._next(max_count), 1, None)
                if taken:
                    return taken
        count = max(max_count // streams, 1)
        return await self._exchange(self._next(streams), count, max_wait)

    async def _exchange(
        self, inboxes: Sequence[HeldEntries], count: int, max_wait: float | None
    ) -> list[Received]:
        """One round trip: acks, a look at the retry schedule, and a read."""
        commands: list[Command] = []
        now = self._clock.monotonic()
        looks = now >= self._next_promotion
        if looks:
            self._next_promotion = now + self._look_every
            if self._scheduled:
                await self._promote()
        # Whatever may fail comes before: from here on, acks are on their way.
        acks = [(inbox, inbox.start_acks()) for inbox in self._inboxes if inbox.noted]
        for inbox, batch in acks:
            commands.append(("XACK", inbox.stream, self._group, *batch))
        if looks:
            commands.append(("ZCARD", self._keys.retry))
        self._puts = False
        if max_wait is not None:
            if self._idle and not self._scheduled:
                max_wait = max(max_wait, IDLE_BLOCK)
            if self._more_to_reclaim:
                max_wait = min(max_wait, max(self._next_reclaim - now, 0.0))
        commands.append(self._read_command(inboxes, count, max_wait))
        sent = False
        try:
            replies = await self._client.pipe(commands)
            sent = True
            if ON and acks:
                reach("after_ack")
        finally:
            for inbox, batch in acks:
                inbox.end_acks(batch, sent=sent)
        if looks:
            self._scheduled = bool(replies[-2]) or self._puts
        taken = self._take(replies[-1])
        self._idle = not taken
        return taken

    async def _promote(self) -> None:
        """Move what is due; apart from the read, for a full server refuses only this."""
        try:
            await self._client.call(*promotion(self._keys))
        except BrokenError:
            raise
        except TransportError as error:
            _log.debug("cannot promote scheduled retries: %s", error)

    def _next(self, count: int) -> Sequence[HeldEntries]:
        """The streams whose turn it is; each one comes first as often as the others."""
        turns = (*self._inboxes[self._turn :], *self._inboxes[: self._turn])
        served = count if count < len(turns) else 1
        self._turn = (self._turn + served) % len(turns)
        return turns[:count]

    def _read_command(
        self, inboxes: Sequence[HeldEntries], count: int, max_wait: float | None
    ) -> Command:
        wait: Command = ()
        if max_wait is not None:
            wait = ("BLOCK", max(int(min(max_wait, MAX_BLOCK) * 1000), 1))
        return (
            *("XREADGROUP", "GROUP", self._group, self._consumer),
            *("COUNT", count, *wait),
            *("STREAMS", *(inbox.stream for inbox in inboxes), *(">" for _ in inboxes)),
        )

    def _take(self, reply: Any) -> list[Received]:
        taken: list[Received] = []
        for stream, entries in reply or ():
            taken += self._by_stream[stream].take_new(entries)
        self._recorder.waited(self._waits(taken))
        return taken

    def _waits(self, taken: Sequence[Received]) -> list[float]:
        """Seconds since each entry was added; many share the millisecond in their id.

        What comes again is for one group alone, and its wait was counted before.
        """
        now = self._clock.time() + self.server_ahead
        waits = []
        moment, wait = "", 0.0
        for entry in taken:
            if entry.token.extra.group:
                continue
            added, _, _ = entry.id.partition("-")
            if added != moment:
                moment, wait = added, max(now - time_of(added), 0.0)
            waits.append(wait)
        return waits

    async def _lost(self, inbox: HeldEntries, ids: Sequence[bytes]) -> None:
        """Count entries that were trimmed while they were ours, and let go of them."""
        if ids:
            command = ("XACK", inbox.stream, self._group, *ids)
            # Only whoever acks an entry counts it.
            acked = await self._client.call(*command)
            self._count_lost(ids[:acked])

    def _count_lost(self, ids: Sequence[bytes]) -> None:
        if ids:
            self._recorder.lost("trimmed", len(ids))
            _log.error(
                "lost %d events: trimmed from the stream before they were handled",
                len(ids),
            )
