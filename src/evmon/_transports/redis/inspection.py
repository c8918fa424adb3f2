"""Inspects a server for a service that does not run: permissions and durability."""

from evmon._settings.configs import RedisConfig
from evmon._transports.factory import Inspection
from evmon._transports.redis.errors import BrokenError
from evmon._transports.redis.permissions import describe, missing_permissions
from evmon._transports.redis.server_check import (
    UNKNOWN_WITHOUT_INFO,
    parse_info,
    risks_of,
    too_old,
)
from evmon._transports.redis.standalone_client import standalone_client
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
    client, primary = standalone_client(url, service, config)
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
