"""Selects how the primary of an address is found."""

from evmon._clock import Clock
from evmon._transports.redis.address import Address
from evmon._transports.redis.cluster import ClusterNodes
from evmon._transports.redis.dial import dial, dial_sentinels
from evmon._transports.redis.primary import Finder, FixedServer, Primary
from evmon._transports.redis.sentinels import Sentinels


def primary_of(address: Address, key: str, timeout: float, clock: Clock) -> Primary:
    """The primary that has a key; nothing is connected yet.

    Args:
        address: address of a server, of sentinels, or of nodes of a cluster.
        key: a key of the service.
        timeout: seconds to wait for a connection, and for a reply.
        clock: source of time.
    """
    finder: Finder
    if address.kind == "sentinel":
        ask = dial_sentinels(address, timeout)
        finder = Sentinels(address.primary, address.hosts, ask, clock)
    elif address.kind == "cluster":
        finder = ClusterNodes(key, address.hosts, dial(address, timeout), clock)
    elif address.kind == "socket":
        finder = FixedServer()
    else:
        finder = FixedServer(address.hosts[0])
    return Primary(finder, timeout, clock)
