"""The transport on Redis Streams: its parts, put together."""

import asyncio
import logging
import os
import secrets
import socket
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import anyio

from evmon._clock import SYSTEM_CLOCK, Clock
from evmon._failpoints import ON, reach
from evmon._settings.configs import RedisConfig
from evmon._telemetry.transport_recorder import TransportRecorder, no_recorder
from evmon._transports.base import DeadLetter, Received, Redelivery
from evmon._transports.redis import scripts
from evmon._transports.redis.address import connect, parse_address
from evmon._transports.redis.client import Client
from evmon._transports.redis.dead_letters import dead_fields, next_fields
from evmon._transports.redis.errors import BrokenError, RefusedError
from evmon._transports.redis.held import HeldEntries
from evmon._transports.redis.keys import NOTED_SECONDS, Keys
from evmon._transports.redis.leases import Leases
from evmon._transports.redis.maintenance import Maintenance
from evmon._transports.redis.pipelines import Command
from evmon._transports.redis.reader import MAX_BLOCK, Reader
from evmon._transports.redis.server_check import check_server
from evmon.errors import ConfigError, TransportError

ACK_DELAY: Final = 0.02
"""Seconds after which acks are sent by themselves, if no read took them along."""

TICKET_SECONDS: Final = 86_400
"""Seconds for which Redis remembers the last batch of a producer."""

SILENCE: Final = 3
"""Rounds of upkeep without an answer after which the server is taken for gone."""

CLOSE_WITHIN: Final = 1.0
"""Seconds for the last words to the server; what is left unsaid is safe."""

ACK_AGAIN: Final = 1.0
"""Seconds after which acks that could not be sent are tried again."""

MAX_UNROUTED: Final = 100
"""Event types of which it is told that `stream_for` fails for them."""

RETRY_OPEN: Final = 0.25
"""Seconds between two tries to reach the server at start."""

_log = logging.getLogger("evmon.transport")


class RedisTransport:
    """Events in a Redis stream, read by a consumer group.

    Args:
        url: of the server.
        service: names the keys.
        group: name of the consumer group; the service's name when empty.
        config: times and limits.
        recorder: measures.
        clock: time.

    Raises:
        ConfigError: the URL is wrong.
    """

    system = "redis"
    shared = True

    def __init__(
        self,
        url: str,
        service: str,
        group: str = "",
        config: RedisConfig = RedisConfig(),
        recorder: TransportRecorder | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.destination = service
        self.address = address = parse_address(url, config)
        self._keys = keys = Keys(service)
        self._config = config
        self._clock = clock
        self._recorder = recorder = recorder or no_recorder()
        self._consumer = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._producer = keys.producer(self._consumer)
        self._settle_keys = (
            *(keys.dead, keys.retry, keys.retry_entries),
            *(keys.trimmed(self._consumer), keys.taken(self._consumer)),
        )
        hidden = address.secrets
        timeout = config.timeout
        self._client = Client(
            connect(address, timeout, timeout), hidden, recorder, clock
        )
        self._reading_client = Client(
            connect(address, timeout + MAX_BLOCK, timeout),
            hidden,
            recorder,
            clock,
            one_by_one=True,
        )
        inboxes = self._inboxes = [
            HeldEntries(keys.stream(name), group or service)
            for name in ("", *config.streams)
        ]
        self._reader = Reader(
            self._reading_client,
            inboxes,
            keys,
            self._consumer,
            config.lease,
            recorder,
            clock,
        )
        self._leases = Leases(
            self._client,
            inboxes,
            keys,
            self._consumer,
            config.lease,
            recorder,
            clock,
        )
        self._upkeep = Maintenance(
            self._client,
            inboxes,
            keys,
            self._reader,
            config.upkeep_interval,
            config.retention,
            recorder,
            clock,
        )
        self._acks_noted = asyncio.Event()
        self._in_doubt: set[Received] = set()
        self._unrouted: set[str] = set()

    def __repr__(self) -> str:
        return f"RedisTransport({str(self.address)!r})"

    @property
    def problem(self) -> str:
        """Why events cannot be read and published now; empty when they can."""
        if self._reader.misses_groups:
            return "the consumer group is gone"
        if self._client.broken or self._reading_client.broken:
            return "the connection to Redis is broken"
        if self._reader.failure:
            return f"reading fails: {self._reader.failure:.200}"
        heard = max(self._client.last_heard, self._reading_client.last_heard)
        silent = self._clock.monotonic() - heard
        if silent > SILENCE * self._config.upkeep_interval:
            return f"no reply from Redis for {silent:.0f} s"
        return ""

    @property
    def backlog(self) -> int:
        """Nothing that is unread ends with this process."""
        return 0

    async def open(self, *, reads: bool = True) -> None:
        """Reach the server, look whether it is safe, and make the group to read with.

        Raises:
            ConfigError: `require_durable`, and the server may forget events.
            TransportError: the server cannot be reached, or refuses.
        """
        try:
            await self._open(reads=reads)
        except BaseException:
            # Nobody closes what was not opened.
            await self._disconnect()
            raise

    async def run(self) -> None:
        """Look after leases, acks, figures and leftovers, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._leases.run)
            tasks.start_soon(self._upkeep.run)
            tasks.start_soon(self._send_acks)

    def observe(self) -> None:
        """The server has to be asked; `run` does, every few seconds."""

    def watch(self, lost: Callable[[Received], None]) -> None:
        """Call `lost` with every entry that another consumer took over."""
        self._leases.lost = lost

    async def publish(
        self,
        batch: Sequence[bytes],
        types: Sequence[str] = (),
        ticket: int = 0,
    ) -> list[Exception | None]:
        """Append events, all or none, and once however often they are tried.

        Raises:
            TransportError: it is not known whether they were appended.
        """
        streams = self._by_stream(batch, types)
        command: Command = (
            *("EVAL", scripts.PUBLISH, 1 + len(streams), self._producer, *streams),
            *(ticket, TICKET_SECONDS),
        )
        for raws in streams.values():
            command += (len(raws), *raws)
        if ON:
            reach("before_publish")
        replicas = self._config.min_replicas
        if not replicas:
            await self._client.call(*command)
            if ON:
                reach("after_publish")
            return [None] * len(batch)
        wait = ("WAIT", replicas, int(self._config.timeout * 1000 / 2))
        reached = (await self._client.pipe([command, wait]))[1]
        if reached < replicas:
            raise TransportError(f"{reached} of {replicas} replicas have the events")
        return [None] * len(batch)

    async def read(self, max_count: int, max_wait: float) -> list[Received]:
        """Wait for entries, `max_wait` seconds at the most."""
        entries = await self._reader.read(max_count, max_wait)
        self._recorder.polled(self._clock.time())
        return entries

    def interrupt(self) -> None:
        """A read is over soon by itself, and cutting it short could lose its answer."""

    def ack(self, received: Received) -> None:
        """Note that an entry is done; sent with the next read, or soon by itself."""
        received.token.inbox.done(received.id)
        self._acks_noted.set()

    async def flush(self) -> None:
        """Send the acks that were noted.

        Raises:
            TransportError: they stay noted.
        """
        for inbox in self._inboxes:
            if not inbox.noted:
                continue
            batch = inbox.start_acks()
            sent = False
            try:
                await self._client.call("XACK", inbox.stream, inbox.group, *batch)
                sent = True
                if ON:
                    reach("after_ack")
            finally:
                inbox.end_acks(batch, sent=sent)

    async def settle(
        self, received: Received, dead: DeadLetter | None, again: Redelivery | None
    ) -> bool:
        """Dead-letter an entry, schedule it, or both, in one step that acks it."""
        inbox: HeldEntries = received.token.inbox
        now = self._clock.time() + self._reader.server_ahead
        letter = dead_fields(received, dead, self._consumer, now) if dead else []
        later: list[bytes | int] = []
        if again is not None:
            later = [int(again.delay * 1000), *next_fields(received, again, now)]
        if ON:
            reach("before_settle")
        limit = self._config.max_scheduled

        async def end(note_orphan: int) -> int:
            done: int = await self._client.call(
                *("EVAL", scripts.SETTLE, 1 + len(self._settle_keys)),
                *(inbox.stream, *self._settle_keys),
                *(inbox.group, self._consumer, received.id),
                *(limit, note_orphan, len(letter), *letter, *later),
            )
            return done

        doubt = received in self._in_doubt
        try:
            done = await end(note_orphan=0)
            if done < 0 and not doubt and received.id in inbox.held:
                _log.warning(
                    "event %s was removed from the group's pending entries (XGROUP"
                    " DELCONSUMER?): settling it anyway",
                    received.id,
                )
                done = await end(note_orphan=NOTED_SECONDS)
        except (BrokenError, asyncio.CancelledError):
            self._in_doubt.add(received)
            raise
        if later:
            self._reader.schedules()
        if ON:
            reach("after_settle")
        # An earlier try may have done it, and only its answer got lost.
        self._in_doubt.discard(received)
        inbox.let_go(received.id)
        return done > 0 or doubt

    async def release(self, received: Sequence[Received]) -> None:
        """Give entries back, so that another consumer takes them at once."""
        await self._leases.release(received, self._in_doubt)

    async def close(self) -> None:
        """Send what is left, take our name off the group, and disconnect."""
        try:
            with anyio.move_on_after(CLOSE_WITHIN):
                await self._say_goodbye()
        except TransportError as error:
            _log.warning("could not remove this consumer from its group: %s", error)
        finally:
            await self._disconnect()

    async def _open(self, *, reads: bool) -> None:
        deadline = self._clock.monotonic() + self._config.connect_within
        said = ""
        while True:
            try:
                await check_server(self._client, self._config.require_durable)
                if reads:
                    await self._reader.make_groups()
                break
            except RefusedError as error:
                raise ConfigError(
                    f"{self.address} refuses the connection: {error}; see the transport's"
                    " URL, EVMON_REDIS_USERNAME and EVMON_REDIS_PASSWORD"
                ) from error
            except TransportError as error:
                if self._clock.monotonic() >= deadline:
                    raise TransportError(f"{self.address}: {error}") from error
                if str(error) != said:
                    said = str(error)
                    _log.warning("waiting for %s: %s", self.address, said)
            await self._clock.sleep(RETRY_OPEN)

    async def _disconnect(self) -> None:
        await self._reading_client.close()
        await self._client.close()

    def _by_stream(
        self, batch: Sequence[bytes], types: Sequence[str]
    ) -> dict[str, Sequence[bytes]]:
        """Which events go to which stream."""
        rule = self._config.stream_for
        if rule is None:
            return {self._inboxes[0].stream: batch}
        streams: defaultdict[str, list[bytes]] = defaultdict(list)
        for raw, event_type in zip(batch, types, strict=True):
            streams[self._keys.stream(self._stream_for(rule, event_type))].append(raw)
        return dict(streams)

    def _stream_for(self, rule: Callable[[str], str], event_type: str) -> str:
        """The name of the stream; empty for the service's own, which takes the rest."""
        try:
            name = rule(event_type)
        except Exception:  # noqa: BLE001 - the rule is other people's code
            told = self._unrouted
            if event_type not in told and len(told) < MAX_UNROUTED:
                told.add(event_type)
                _log.exception(
                    "stream_for failed for %.255s: its events go to %s",
                    event_type,
                    self._inboxes[0].stream,
                )
            return ""
        return name if name in self._config.streams else ""

    async def _say_goodbye(self) -> None:
        await self.flush()
        for inbox in self._inboxes if self._reader.has_groups else ():
            forget = (inbox.group, 0, self._consumer)
            await self._client.call("EVAL", scripts.FORGET, 1, inbox.stream, *forget)

    async def _send_acks(self) -> None:
        """Send acks soon, even when the reader waits long for new entries."""
        while True:
            await self._acks_noted.wait()
            await self._clock.sleep(ACK_DELAY)
            self._acks_noted.clear()
            try:
                await self.flush()
            except TransportError as error:
                _log.debug("cannot send acknowledgements, retrying: %s", error)
                await self._clock.sleep(ACK_AGAIN)
                self._acks_noted.set()
