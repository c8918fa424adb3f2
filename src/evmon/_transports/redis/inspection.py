"""Inspects a server for a service that does not run: permissions and durability."""

from evmon._clock import SYSTEM_CLOCK
from evmon._settings.configs import RedisConfig
from evmon._telemetry.transport_recorder import no_recorder
from evmon._transports.factory import Inspection
from evmon._transports.redis.address import parse_address
from evmon._transports.redis.client import Client
from evmon._transports.redis.connections import Connections
from evmon._transports.redis.dial import dial
from evmon._transports.redis.errors import BrokenError
from evmon._transports.redis.keys import Keys
from evmon._transports.redis.permissions import describe, missing_permissions
from evmon._transports.redis.server_check import (
    UNKNOWN_WITHOUT_INFO,
    parse_info,
    risks_of,
    too_old,
)
from evmon._transports.redis.topology import primary_of
from evmon.errors import TransportError


async def inspect(url: str, service: str, config: RedisConfig) -> Inspection:
    """What a service will miss on a server.

    Args:
        url: URL of the server.
        service: name of the service.
        config: login and timeouts.

    Raises:
        ConfigError: the URL is invalid.
        TransportError: the server cannot be reached.
    """
    address = parse_address(url, config)
    timeout, clock = config.timeout, SYSTEM_CLOCK
    primary = primary_of(address, Keys(service).stream(), timeout, clock)
    connections = Connections(dial(address, timeout), primary)
    client = Client(connections, address.secrets, no_recorder(), clock, timeout)
    try:
        missing = describe(await missing_permissions(client, service), service)
        try:
            info = parse_info(await client.call("INFO"))
        except BrokenError:
            raise
        except TransportError as error:
            return Inspection(
                [missing] if missing else [], [f"{UNKNOWN_WITHOUT_INFO} ({error})"]
            )
        problems = [missing, too_old(info), *risks_of(info)]
        return Inspection([text for text in problems if text], [])
    finally:
        await client.close()
        await primary.close()
