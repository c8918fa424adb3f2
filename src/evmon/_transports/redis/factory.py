"""Makes the Redis transport and access to its dead letters."""

from typing import Final

from evmon._transports.factory import TransportFactory, TransportOptions
from evmon._transports.redis.address import parse_address
from evmon._transports.redis.dead_letters import DeadLetterQueue
from evmon._transports.redis.inspection import inspect
from evmon._transports.redis.transport import RedisTransport


def _open(options: TransportOptions) -> RedisTransport:
    return RedisTransport(
        options.url,
        options.service,
        options.group,
        options.config,
        options.recorder,
        options.clock,
    )


FACTORY: Final = TransportFactory(
    open=_open, check=parse_address, open_dead_letters=DeadLetterQueue, inspect=inspect
)
