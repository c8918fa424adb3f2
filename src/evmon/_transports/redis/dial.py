"""Opens connections to the servers of an address."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)

from evmon._transports.redis.address import Address
from evmon._transports.redis.progress import ProgressParser

Server: TypeAlias = tuple[str, int]
"""Host and port of a server."""

Dial: TypeAlias = Callable[[Server], Awaitable[AbstractConnection]]
"""Opens a connection to a server.

Raises:
    redis.exceptions.RedisError: it failed.
    OSError: it failed.
"""


def dial(address: Address, timeout: float, max_block: float = 0.0) -> Dial:
    """What opens connections to the servers with the events.

    Args:
        address: address with the login.
        timeout: seconds to wait for a connection, and for a reply.
        max_block: seconds for which a command may block in addition.
    """
    options = _options(address, timeout) | {
        "username": address.username or None,
        "password": address.password or None,
        "db": address.db,
    }
    return _dial(address, options, timeout + max_block)


def dial_sentinels(address: Address, timeout: float) -> Dial:
    """What opens connections to the sentinels, which have a login of their own.

    Args:
        address: address with the login.
        timeout: seconds to wait for a connection, and for a reply.
    """
    return _dial(address, _options(address, timeout) | dict(address.sentinel), timeout)


def _options(address: Address, timeout: float) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "protocol": 2,
        "parser_class": ProgressParser,
    }
    return options | dict(address.options)


def _dial(address: Address, options: dict[str, Any], timeout: float) -> Dial:
    async def open_connection(server: Server) -> AbstractConnection:
        connection: AbstractConnection
        if address.kind == "socket":
            connection = UnixDomainSocketConnection(path=address.path, **options)
        else:
            kind = SSLConnection if address.tls else Connection
            connection = kind(host=server[0], port=server[1], **options)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        # Only commands block, not what is sent at the start of a connection.
        connection.socket_timeout = timeout
        return connection

    return open_connection
