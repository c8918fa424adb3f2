"""One consumer of a consumer group: its name, its streams and what it holds."""

from collections.abc import Iterator
from dataclasses import dataclass

from evmon._clock import Clock
from evmon._telemetry.transport_recorder import TransportRecorder
from evmon._transports.base import Received
from evmon._transports.redis.held import HeldEntries
from evmon._transports.redis.keys import Keys
from evmon._transports.redis.server_clock import ServerClock


@dataclass(frozen=True, slots=True)
class Consumer:
    """One consumer of a consumer group.

    Attributes:
        name: name of the consumer, unique in its group.
        group: name of the consumer group.
        keys: keys of the service.
        streams: held entries of each stream; the service's own stream comes first.
        lease: seconds without renewal after which entries can be reclaimed.
        recorder: recorder of the transport's metrics.
        clock: source of time.
        server_clock: the server's clock.
    """

    name: str
    group: str
    keys: Keys
    streams: tuple[HeldEntries, ...]
    lease: float
    recorder: TransportRecorder
    clock: Clock
    server_clock: ServerClock

    @property
    def lease_ms(self) -> int:
        """The lease in milliseconds."""
        return int(self.lease * 1000)

    @property
    def marks(self) -> tuple[str, str]:
        """Keys of the entries trimmed under, and reclaimed from, this consumer."""
        return self.keys.trimmed(self.name), self.keys.reclaimed(self.name)

    def held(self) -> Iterator[Received]:
        """All entries that are held, of every stream."""
        for stream in self.streams:
            yield from stream.entries.values()
