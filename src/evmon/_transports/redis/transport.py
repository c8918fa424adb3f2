"""The transport on Redis Streams."""

import asyncio
import logging
import math
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import anyio

from evmon._clock import SYSTEM_CLOCK, Clock
from evmon._failpoints import ON, reach
from evmon._settings.configs import RedisConfig
from evmon._telemetry.instruments import SERVER_ADDRESS, SERVER_PORT
from evmon._telemetry.labels import label
from evmon._telemetry.transport_recorder import TransportRecorder, no_recorder
from evmon._transports.base import Outcome, Received
from evmon._transports.redis import scripts
from evmon._transports.redis.acks import Acks
from evmon._transports.redis.address import Address, parse_address
from evmon._transports.redis.appender import Appender
from evmon._transports.redis.client import Client
from evmon._transports.redis.connections import Connections
from evmon._transports.redis.consumer import Consumer
from evmon._transports.redis.dial import dial
from evmon._transports.redis.errors import RefusedError
from evmon._transports.redis.held import HeldEntries
from evmon._transports.redis.keys import Keys
from evmon._transports.redis.leases import Leases
from evmon._transports.redis.maintenance import Maintenance
from evmon._transports.redis.permissions import check_permissions
from evmon._transports.redis.reader import MAX_BLOCK, Reader
from evmon._transports.redis.routing import StreamRouter
from evmon._transports.redis.server_check import check_server
from evmon._transports.redis.server_clock import ServerClock
from evmon._transports.redis.settlement import Settlement
from evmon._transports.redis.topology import primary_of
from evmon.errors import BusStateError, ConfigError, TransportError

ACK_DELAY: Final = 0.02
"""Seconds after which acknowledgements are sent, if no read sent them earlier."""

ACK_RETRY_DELAY: Final = 1.0
"""Seconds until acknowledgements that could not be sent are sent again."""

SILENT_INTERVALS: Final = 3
"""Maintenance intervals without a reply after which the server counts as down."""

CLOSE_TIMEOUT: Final = 1.0
"""Seconds to flush acks and leave the group on close; anything unsent is redelivered."""

OPEN_RETRY_DELAY: Final = 0.25
"""Seconds between two attempts to reach the server at startup."""

_log = logging.getLogger("evmon.transport")


class RedisTransport:
    """Events in Redis streams, read by a consumer group.

    Args:
        url: URL of the server.
        service: name of the service, part of every key.
        group: name of the consumer group; if empty, that of the service.
        config: login, timeouts and limits.
        recorder: recorder of the transport's metrics; None records nothing.
        clock: source of time.

    Raises:
        ConfigError: the URL is invalid.
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
        self.address = parse_address(url, config)
        self.server = _server(self.address)
        self._config = config
        self._clock = clock
        self._recorder = recorder or no_recorder()
        keys = Keys(service)
        group = group or service
        self.streams: Sequence[str] = ("", *config.streams)
        self._consumer = consumer = Consumer(
            name=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
            group=group,
            keys=keys,
            streams=tuple(
                HeldEntries(keys.stream(name), group, name, self._recorder.stream(name))
                for name in self.streams
            ),
            lease=config.lease,
            recorder=self._recorder,
            clock=clock,
            server_clock=ServerClock(clock),
        )
        self._primary = primary_of(self.address, keys.stream(), config.timeout, clock)
        self._client = client = self._connect(0)
        self._reading_client = self._connect(MAX_BLOCK)
        router = StreamRouter(keys, config.streams, config.stream_for)
        producer = keys.producer(consumer.name)
        self._appender = Appender(client, producer, router, config)
        self._acks = Acks(consumer)
        self._reader = reader = Reader(consumer, self._reading_client, self._acks)
        self._leases = Leases(consumer, client)
        self._settlement = Settlement(consumer, client, reader, config.max_scheduled)
        self._maintenance = Maintenance(
            consumer, client, reader, config.upkeep_interval, config.retention
        )
        self._has_unsent_acks = asyncio.Event()

    def __repr__(self) -> str:
        return f"RedisTransport({str(self.address)!r})"

    @property
    def idle(self) -> float:
        """Seconds of the last `read` in which no event was there to be read."""
        return self._reader.idle

    @property
    def sent_to(self) -> Sequence[str]:
        """Stream of each event of the last `publish`; empty if there is only one."""
        return self._appender.sent_to

    @property
    def problem(self) -> str:
        """Why events cannot be read or published now; empty if they can."""
        if self._reader.groups.missing:
            return "the consumer group is gone"
        if self._client.broken or self._reading_client.broken:
            return "the connection to Redis is broken"
        if self._reader.failure:
            return f"reading fails: {self._reader.failure:.200}"
        if self._reader.groups.needed and self._maintenance.problem:
            return self._maintenance.problem
        last_reply = max(self._client.last_reply, self._reading_client.last_reply)
        silent = self._clock.monotonic() - last_reply
        if silent > SILENT_INTERVALS * self._config.upkeep_interval:
            return f"no reply from Redis for {silent:.0f} s"
        return ""

    @property
    def backlog(self) -> int:
        """Always 0: other processes can read what this one has not."""
        return 0

    async def open(self, *, reads: bool = True) -> None:
        """Connect, check the server's settings, and create the consumer group.

        Args:
            reads: whether events will be read, not only published.

        Raises:
            ConfigError: the server refuses the login, the user lacks a permission, or
                `require_durable` is set and the server may lose events.
            TransportError: the server cannot be reached, or refuses.
        """
        try:
            await self._open(reads=reads)
        except BaseException:
            # The caller does not close a transport that failed to open.
            await self._disconnect()
            raise

    async def run(self) -> None:
        """Renew leases, send acknowledgements and do maintenance, until cancelled.

        Raises:
            BusStateError: one of these ended by itself; in an exception group.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run_part, "renewal of leases", self._leases.run)
            tasks.start_soon(_run_part, "maintenance", self._maintenance.run)
            tasks.start_soon(_run_part, "sending of acks", self._send_acks)

    def observe(self) -> None:
        """Nothing: asking the server takes time, so `run` records every few seconds."""

    def watch(self, lost: Callable[[Received], None]) -> None:
        """Call `lost` with every entry that another consumer has reclaimed."""
        self._leases.lost = lost

    async def publish(
        self,
        batch: Sequence[bytes],
        types: Sequence[str] = (),
        ticket: int = 0,
    ) -> list[Exception | None]:
        """Append encoded events in order, and each once for each ticket.

        Raises:
            TransportError: it is unknown whether any of them were appended.
        """
        return await self._appender.append(batch, types, ticket)

    async def read(self, max_count: int, max_wait: float) -> list[Received]:
        """Wait for entries, up to `max_wait` seconds or a little longer.

        Raises:
            TransportError: the server cannot be reached, or refuses.
        """
        entries = await self._reader.read(max_count, max_wait)
        self._recorder.polled(self._clock.time())
        return entries

    def interrupt(self) -> None:
        """Nothing: reads are short, and cancelling one could lose its reply."""

    def ack(self, received: Received) -> None:
        """Acknowledge an entry; sent with the next read, or within `ACK_DELAY`."""
        received.token.held.ack(received.id)
        self._has_unsent_acks.set()

    async def flush(self) -> None:
        """Send unsent acknowledgements.

        Raises:
            TransportError: they could not be sent, and are still unsent.
        """
        for held in self._consumer.streams:
            if not held.unsent_acks:
                continue
            batch = held.start_acks()
            sent = False
            try:
                command = self._acks.command(held, batch)
                reply = await self._client.call(*command)
                if not self._acks.report(held, reply, batch):
                    await self._client.check_primary()
                sent = True
                if ON:
                    reach("after_ack")
            finally:
                held.end_acks(batch, sent=sent)

    async def settle(self, received: Received, outcomes: Sequence[Outcome]) -> bool:
        """Acknowledge an entry, store its dead letters and schedule its retries."""
        return await self._settlement.settle(received, outcomes)

    async def release(self, received: Sequence[Received]) -> None:
        """Release entries, so that another consumer can reclaim them at once."""
        await self._leases.release(received, self._settlement.in_doubt)

    async def close(self) -> None:
        """Flush acknowledgements, leave the group and disconnect."""
        try:
            with anyio.move_on_after(CLOSE_TIMEOUT):
                await self._leave_group()
        except TransportError as error:
            _log.warning("could not remove this consumer from its group: %s", error)
        finally:
            await self._disconnect()

    def _connect(self, max_block: float) -> Client:
        """A client whose commands may block for `max_block` seconds."""
        timeout = self._config.timeout
        connections = Connections(dial(self.address, timeout, max_block), self._primary)
        secret = self.address.secrets
        return Client(connections, secret, self._recorder, self._clock, timeout)

    async def _open(self, *, reads: bool) -> None:
        deadline = self._clock.monotonic() + self._config.connect_within
        reported = ""
        while True:
            try:
                await check_server(
                    self._client, require_durable=self._config.require_durable
                )
                await check_permissions(self._client, self.destination, reads=reads)
                if reads:
                    await self._reader.groups.create()
                break
            except RefusedError as error:
                raise ConfigError(
                    f"{self.address} refuses the connection: {error}; see the transport's"
                    " URL, EVMON_REDIS_USERNAME and EVMON_REDIS_PASSWORD"
                ) from error
            except TransportError as error:
                if self._clock.monotonic() >= deadline:
                    raise TransportError(f"{self.address}: {error}") from error
                if str(error) != reported:
                    reported = str(error)
                    _log.warning("waiting for %s: %s", self.address, reported)
            await self._clock.sleep(OPEN_RETRY_DELAY)

    async def _disconnect(self) -> None:
        await self._reading_client.close()
        await self._client.close()
        await self._primary.close()

    async def _leave_group(self) -> None:
        """Flush acknowledgements, and delete this consumer where nothing is pending."""
        await self.flush()
        if not self._reader.groups.exist:
            return
        for held in self._consumer.streams:
            args = (held.group, 0, self._consumer.name)
            await self._client.eval(scripts.FORGET, (held.stream,), args)

    async def _send_acks(self) -> None:
        """Send acknowledgements soon, even while the reader waits for new entries."""
        while True:
            await self._has_unsent_acks.wait()
            await self._clock.sleep(ACK_DELAY)
            self._has_unsent_acks.clear()
            try:
                await self.flush()
            except TransportError as error:
                _log.debug("cannot send acknowledgements, retrying: %s", error)
                await self._clock.sleep(ACK_RETRY_DELAY)
                self._has_unsent_acks.set()


async def _run_part(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a part that must not end before it is cancelled with the transport."""
    try:
        await run()
    except asyncio.CancelledError:
        if anyio.current_effective_deadline() == -math.inf:  # by the task group
            raise
        raise BusStateError(f"the {name} was cancelled from outside") from None
    raise BusStateError(f"the {name} ended before the transport was stopped")


def _server(address: Address) -> Mapping[str, str | int]:
    """The attributes of the server, or of the first of several."""
    if not address.hosts:
        return {SERVER_ADDRESS: label(address.path)}
    host, port = address.hosts[0]
    return {SERVER_ADDRESS: label(host), SERVER_PORT: port}
