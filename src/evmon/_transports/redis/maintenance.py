"""Measures lag and ages, deletes idle consumers, trims finished events."""

import logging
from typing import Final

from evmon._log_fields import about_many
from evmon._telemetry.transport_recorder import ServiceStats, StreamStats
from evmon._transports.redis import scripts
from evmon._transports.redis.client import Client
from evmon._transports.redis.consumer import Consumer
from evmon._transports.redis.entries import time_of
from evmon._transports.redis.errors import BrokenError, GroupGoneError
from evmon._transports.redis.held import HeldEntries
from evmon._transports.redis.permissions import describe, missing_permissions
from evmon._transports.redis.reader import Reader
from evmon.errors import TransportError

UNKNOWN_AFTER: Final = 3
"""Intervals without a measurement after which the last values are withdrawn."""

TRIM_COUNT: Final = 10_000
"""Maximum number of entries trimmed by one command, so that none blocks the server."""

FORGET_AFTER: Final = 3600.0
"""Seconds after which an idle consumer with no pending entries is deleted."""

RESTART_COUNT: Final = 1000
"""Maximum number of leases that one command lets start anew."""

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
        """Which key had the wrong type, or which permission lacked, at the last run."""

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
                    for held in self._consumer.streams:
                        held.recorder.unknown()
            await clock.sleep(self._interval)

    async def run_once(self) -> None:
        """Measure, delete idle consumers, trim, and promote due retries.

        Raises:
            TransportError: the server cannot be reached, or refuses.
        """
        await self._check()
        set_back = await self._check_clock()
        # The reader creates groups and promotes retries too, but it does not read while
        # every slot waits to settle its event, which may need a group or a promotion.
        try:
            stats, by_stream = await self._read_stats()
        except GroupGoneError:
            await self._reader.groups.recreate()
            stats, by_stream = await self._read_stats()
        if set_back:
            await self._restart_leases()
        self._consumer.recorder.record_stats(stats)
        for held, its in zip(self._consumer.streams, by_stream, strict=True):
            held.recorder.record_stats(its)
        for held in self._consumer.streams:
            args = (held.group, int(FORGET_AFTER * 1000), "")
            await self._client.eval(scripts.FORGET, (held.stream,), args)
            await self._trim(held)
        # Last: a server without memory refuses it until entries are trimmed.
        more = stats.scheduled > 0
        while more:
            more = await self._reader.promote()

    async def _check_clock(self) -> bool:
        """Whether the server's clock was set back; a server without memory cannot tell."""
        consumer = self._consumer
        try:
            return await consumer.server_clock.check(self._client, consumer.keys)
        except BrokenError:
            raise
        except TransportError as error:
            _log.debug("cannot check the server's clock: %s", error)
            return False

    async def _check(self) -> None:
        """Find what makes every attempt to settle fail.

        That is a key of the wrong type, or a permission that the user lacks.
        """
        consumer = self._consumer
        keys, service = consumer.keys, consumer.keys.service
        names = (keys.dead, keys.retry, keys.retry_entries, keys.runs, keys.clock)
        wrong = []
        try:
            wrong.append(
                describe(await missing_permissions(self._client, service), service)
            )
            wrong += await self._client.wrong_types(names)
        except BrokenError:
            raise
        except TransportError as error:
            _log.debug("cannot check keys and permissions: %s", error)
            if not any(wrong):
                return
        problem = "; ".join(filter(None, wrong))
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

    async def _read_stats(self) -> tuple[ServiceStats, list[StreamStats]]:
        """The state of dead letters and retries, and that of each stream."""
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
        self._report_lost(sum(trimmed for *_, trimmed in rows))
        dead_since = [int(time_of(i.decode()) * 1000) for i, _ in oldest_dead]
        dead_age = self._age(rows[0][0], *dead_since)
        by_stream = [
            StreamStats(
                length=length,
                lag=None if lag == -1 else lag,
                pending=pending,
                pending_age=self._age(now, pending_since),
                unread_age=self._age(now, unread_since),
            )
            for now, length, lag, pending, pending_since, unread_since, _ in rows
        ]
        return ServiceStats(dead, dead_age, scheduled), by_stream

    def _report_lost(self, count: int) -> None:
        if count:
            self._consumer.recorder.lost("trimmed", count)
            subject = about_many(count)
            _log.error(
                "lost %s: trimmed from the stream before they were read",
                subject,
                extra=subject.fields,
            )

    def _age(self, now: int, since: int = 0) -> float | None:
        """Seconds since a time; None if unknown.

        Args:
            now: current time of the server in ms.
            since: time in ms; 0 means none.
        """
        if not since:
            return 0.0
        known = self._consumer.server_clock.is_age_known
        if not known(since / 1000, now / 1000):
            return None
        return max(now - since, 0) / 1000

    async def _restart_leases(self) -> None:
        """Let all leases start anew, those of dead consumers included."""
        for held in self._consumer.streams:
            cursor = "-"
            while cursor:
                reply = await self._client.eval(
                    scripts.RESTART, (held.stream,), (held.group, cursor, RESTART_COUNT)
                )
                cursor = reply.decode()
