"""The client of a command, such as ``evmon dlq``, which runs without a bus."""

from evmon._clock import SYSTEM_CLOCK
from evmon._settings.configs import RedisConfig
from evmon._telemetry.transport_recorder import no_recorder
from evmon._transports.redis.address import parse_address
from evmon._transports.redis.client import Client
from evmon._transports.redis.connections import Connections
from evmon._transports.redis.dial import dial
from evmon._transports.redis.keys import Keys
from evmon._transports.redis.primary import Primary
from evmon._transports.redis.topology import primary_of


def standalone_client(
    url: str, service: str, config: RedisConfig
) -> tuple[Client, Primary]:
    """A client of a service's server, and its primary; close both, in this order.

    Args:
        url: URL of the server.
        service: name of the service.
        config: login and timeouts.

    Raises:
        ConfigError: the URL is invalid.
    """
    address = parse_address(url, config)
    timeout, clock = config.timeout, SYSTEM_CLOCK
    primary = primary_of(address, Keys(service).dead, timeout, clock)
    connections = Connections(dial(address, timeout), primary)
    client = Client(connections, address.secrets, no_recorder(), clock, timeout)
    return client, primary
