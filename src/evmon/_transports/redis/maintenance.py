"""Measures lag and ages, deletes idle consumers, trims finished events."""

import logging
from collections.abc import Sequence
from typing import Final

from evmon._event_records import about_many
from evmon._telemetry.transport_recorder import TransportStats
from evmon._transports.redis import scripts
from evmon._transports.redis.client import Client
from evmon._transports.redis.consumer import Consumer
from evmon._transports.redis.entries import time_of
from evmon._transports.redis.errors import BrokenError, GroupGoneError
from evmon._transports.redis.held import HeldEntries
from evmon._transports.redis.reader import Reader
from evmon.errors import TransportError

UNKNOWN_AFTER: Final = 3
"""Intervals without a measurement after which the last values are withdrawn."""

TRIM_COUNT: Final = 10_000
"""Maximum number of entries trimmed by one command, so that none blocks the server."""

FORGET_AFTER: Final = 3600.0
"""Seconds after which an idle consumer with no pending entries is deleted."""

_log = logging.getLogger("evmon.transport")


class Maintenance:
    """Periodic work that every consumer does.

    Every command is fast however long the streams are. So all consumers do the work, and
    the metrics do not depend on a single one.

    Args:
        consumer: consumer that does the work.
        client: connection to Redis.
        reader: reader of the consumer, which promotes retries and corrects its clock.
        interval: seconds between two runs.
        retention: seconds to keep finished events; None keeps them forever.
    """

    def __init__(
        self,
        consumer: Consumer,
        client: Client,
        reader: Reader,
        interval: float,
        retention: float | None,
    ) -> None:
        self._consumer = consumer
        self._client = client
        self._reader = reader
        self._interval = interval
        self._retention = retention
        self.problem = ""
        """Which key had the wrong type at the last run; empty if none."""

    async def run(self) -> None:
        """Run every `interval` seconds until cancelled."""
        clock = self._consumer.clock
        last_success = clock.monotonic()
        while True:
            try:
                await self.run_once()
                last_success = clock.monotonic()
            except GroupGoneError:
                _log.debug("no consumer group exists, and this process only publishes")
            except TransportError as error:
                _log.debug("maintenance failed, retrying: %s", error)
                if clock.monotonic() - last_success > UNKNOWN_AFTER * self._interval:
                    self._consumer.recorder.unknown()
            await clock.sleep(self._interval)

    async def run_once(self) -> None:
        """Measure, delete idle consumers, trim, and promote due retries.

        Raises:
            TransportError: the server cannot be reached, or refuses.
        """
        await self._check_types()
        # The reader creates groups and promotes retries too, but it does not read while
        # every slot waits to settle its event, which may need a group or a promotion.
        try:
            stats = await self._read_stats()
        except GroupGoneError:
            await self._reader.groups.recreate()
            stats = await self._read_stats()
        self._consumer.recorder.record_stats(stats)
        for held in self._consumer.streams:
            args = (held.group, int(FORGET_AFTER * 1000), "")
            await self._client.eval(scripts.FORGET, (held.stream,), args)
            await self._trim(held)
        # Last: a server without memory refuses it until entries are trimmed.
        if stats.scheduled:
            await self._reader.promote()

    async def _check_types(self) -> None:
        """Find a key of the wrong type, on which every attempt to settle fails."""
        keys = self._consumer.keys
        names = (keys.dead, keys.retry, keys.retry_entries, keys.runs)
        try:
            wrong = await self._client.wrong_types(names)
        except BrokenError:
            raise
        except TransportError as error:
            _log.debug("cannot check the types of keys: %s", error)
            return
        problem = "; ".join(wrong)
        if problem and problem != self.problem:
            _log.error("a key has the wrong type: %s", problem)
        self.problem = problem

    async def _trim(self, held: HeldEntries) -> None:
        """Trim until little is left, so that trimming keeps up with publishing."""
        if self._retention is None:
            return
        args = (self._retention, TRIM_COUNT)
        trimmed = TRIM_COUNT
        while trimmed >= TRIM_COUNT // 2:
            trimmed = await self._client.eval(scripts.TRIM, (held.stream,), args)

    async def _read_stats(self) -> TransportStats:
        keys = self._consumer.keys
        # Not in a pipe, which would repeat a script after a missing one: each reply
        # reports trimmed entries that the next one does not.
        rows = [
            await self._client.eval(
                scripts.STATS, (held.stream, keys.runs), (held.group,)
            )
            for held in self._consumer.streams
        ]
        dead, oldest_dead, scheduled = await self._client.pipe(
            [
                ("XLEN", keys.dead),
                ("XRANGE", keys.dead, "-", "+", "COUNT", 1),
                ("ZCARD", keys.retry),
            ]
        )
        nows, lengths, lags, pending, pending_since, unread_since, trimmed = zip(
            *rows, strict=True
        )
        now: int = nows[0]
        self._reader.server_ahead = now / 1000 - self._consumer.clock.time()
        self._report_lost(sum(trimmed))
        dead_since = [int(time_of(i.decode()) * 1000) for i, _ in oldest_dead]
        return TransportStats(
            length=sum(lengths),
            lag=None if -1 in lags else sum(lags),
            pending=sum(pending),
            pending_age=_age(now, pending_since),
            unread_age=_age(now, unread_since),
            dead=dead,
            dead_age=_age(now, dead_since),
            scheduled=scheduled,
        )

    def _report_lost(self, count: int) -> None:
        if count:
            self._consumer.recorder.lost("trimmed", count)
            subject = about_many(count)
            _log.error(
                "lost %s: trimmed from the stream before they were read",
                subject,
                extra=subject.fields,
            )


def _age(now: int, since: Sequence[int]) -> float:
    """Seconds since the earliest of some times; times are in ms, 0 means none."""
    earliest = min((time for time in since if time), default=now)
    return max(now - earliest, 0) / 1000
