"""Maintenance: a look at how things stand, and the sweeping of what is over."""

import logging
from collections.abc import Sequence
from typing import Final

from evmon._clock import Clock
from evmon._telemetry.transport_recorder import TransportRecorder, TransportStats
from evmon._transports.redis import scripts
from evmon._transports.redis.client import Client
from evmon._transports.redis.errors import GroupGoneError
from evmon._transports.redis.held import HeldEntries
from evmon._transports.redis.keys import Keys, time_of
from evmon._transports.redis.reader import Reader, promotion
from evmon.errors import TransportError

UNKNOWN_AFTER: Final = 3
"""Intervals without a look after which it is not known any more how things stand."""

TRIM_COUNT: Final = 10_000
"""Entries trimmed in one go at the most, so that the server stays quick."""

FORGET_AFTER: Final = 3600.0
"""Seconds after which a silent consumer that holds nothing is forgotten."""

_log = logging.getLogger("evmon.transport")


class Maintenance:
    """What every consumer does every few seconds.

    All that it asks is quick whatever the length of the streams, so no consumer has to
    be chosen for it, and the figures survive any one of them.

    Args:
        client: to the server.
        inboxes: one for each stream.
        keys: of the service.
        reader: is told how far the server's clock is ahead.
        interval: seconds between two rounds.
        retention: seconds to keep finished events; None keeps them for ever.
        recorder: measures.
        clock: time.
    """

    def __init__(
        self,
        client: Client,
        inboxes: Sequence[HeldEntries],
        keys: Keys,
        reader: Reader,
        interval: float,
        retention: float | None,
        recorder: TransportRecorder,
        clock: Clock,
    ) -> None:
        self._client = client
        self._inboxes = inboxes
        self._keys = keys
        self._reader = reader
        self._interval = interval
        self._retention = retention
        self._recorder = recorder
        self._clock = clock

    async def run(self) -> None:
        """Go round until cancelled."""
        seen = self._clock.monotonic()
        while True:
            try:
                await self.round()
                seen = self._clock.monotonic()
            except GroupGoneError:
                _log.debug("nothing is read here, and no group exists")
            except TransportError as error:
                _log.debug("upkeep failed, retrying: %s", error)
                if self._clock.monotonic() - seen > UNKNOWN_AFTER * self._interval:
                    self._recorder.unknown()
            await self._clock.sleep(self._interval)

    async def round(self) -> None:
        """Look and sweep once.

        Raises:
            TransportError: the server could not be asked.
        """
        # Reads make groups and promote as well, but nothing is read while every slot
        # waits for its event to be settled: for a group, or for room in the schedule.
        try:
            stats = await self._look()
        except GroupGoneError:
            await self._reader.make_groups_again()
            stats = await self._look()
        self._recorder.record_stats(stats)
        for inbox in self._inboxes:
            forget = (inbox.group, int(FORGET_AFTER * 1000), "")
            await self._client.call("EVAL", scripts.FORGET, 1, inbox.stream, *forget)
            await self._trim(inbox)
        # Last, for a full server refuses it, and trimming is what makes room.
        if stats.scheduled:
            await self._client.call(*promotion(self._keys))

    async def _trim(self, inbox: HeldEntries) -> None:
        """Trim as fast as events come, however many of them are over since last time."""
        if self._retention is None:
            return
        command = ("EVAL", scripts.TRIM, 1, inbox.stream, self._retention, TRIM_COUNT)
        while await self._client.call(*command) >= TRIM_COUNT // 2:
            pass

    async def _look(self) -> TransportStats:
        stands = await self._client.pipe(
            [
                (
                    "EVAL",
                    scripts.STATS,
                    2,
                    inbox.stream,
                    self._keys.runs,
                    inbox.group,
                )
                for inbox in self._inboxes
            ]
        )
        dead, oldest, scheduled = await self._client.pipe(
            [
                ("XLEN", self._keys.dead),
                ("XRANGE", self._keys.dead, "-", "+", "COUNT", 1),
                ("ZCARD", self._keys.retry),
            ]
        )
        now: int = stands[0][0]
        self._reader.server_ahead = now / 1000 - self._clock.time()
        trimmed = sum(stand[6] for stand in stands)
        if trimmed:
            self._recorder.lost("trimmed", trimmed)
            _log.error(
                "lost %d events: trimmed from the stream before they were read", trimmed
            )
        lags = [stand[2] for stand in stands]
        return TransportStats(
            length=sum(stand[1] for stand in stands),
            lag=None if -1 in lags else sum(lags),
            pending=sum(stand[3] for stand in stands),
            pending_age=_age(now, [stand[4] for stand in stands]),
            unread_age=_age(now, [stand[5] for stand in stands]),
            dead=dead,
            dead_age=max(now / 1000 - time_of(oldest[0][0].decode()), 0.0)
            if oldest
            else 0.0,
            scheduled=scheduled,
        )


def _age(now: int, since: Sequence[int]) -> float:
    """Seconds since the oldest of some times in ms, of which 0 is none."""
    oldest = min((time for time in since if time), default=now)
    return max(now - oldest, 0) / 1000
