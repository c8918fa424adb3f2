"""Asks sentinels which server is the primary."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis.exceptions import ConnectionError as RedisConnectionError

from evmon._clock import Clock
from evmon._transports.redis.connections import Connections
from evmon._transports.redis.dial import Dial, Server
from evmon._transports.redis.primary import FixedServer, Primary, ask_all

CHECK_INTERVAL: Final = 1.0
"""Seconds after which the sentinels are asked again before the next command."""

GRACE: Final = 0.05
"""Seconds to wait for the minority: one of them may be the first to know a new primary."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a sentinel says about the primary.

    Attributes:
        epoch: number of the failover that made it the primary; the latest one is right.
        server: host and port.
        is_down: whether the sentinel does not reach it.
    """

    epoch: int
    server: Server
    is_down: bool


class Sentinels:
    """The finder of a primary that sentinels watch.

    Args:
        name: name by which they know it.
        servers: the sentinels.
        dial: opens connections to them.
        clock: source of time.
    """

    check_interval: float | None = CHECK_INTERVAL

    def __init__(
        self, name: str, servers: Sequence[Server], dial: Dial, clock: Clock
    ) -> None:
        self._name = name
        self._connections = {
            server: Connections(
                dial, Primary(FixedServer(server), timeout=0, clock=clock)
            )
            for server in servers
        }

    async def find(self, lost: Server | None, within: float) -> Server:  # noqa: ARG002
        """The primary, as those of the sentinels know it that were told last."""
        majority = len(self._connections) // 2 + 1
        opinions = await ask_all(
            *(self._ask, tuple(self._connections), majority, within), grace=GRACE
        )
        up = [opinion for opinion in opinions if not opinion.is_down]
        if not up:
            raise RedisConnectionError(f"the primary {self._name!r} is down")
        return max(up, key=lambda opinion: opinion.epoch).server

    async def close(self) -> None:
        """Close the connections to the sentinels."""
        for connections in self._connections.values():
            await connections.close()

    async def _ask(self, server: Server) -> Opinion:
        replies = await self._connections[server].exchange(
            [
                ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name),
                ("SENTINEL", "MASTER", self._name),
            ]
        )
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return _opinion(*replies)


def _opinion(address: Sequence[bytes], state: Sequence[bytes]) -> Opinion:
    """Parse the replies of a sentinel.

    Args:
        address: host and port. While a failover ends, they are those of the new primary.
        state: names and values in turn, still of the old one at that time.
    """
    server = (address[0].decode(), int(address[1]))
    texts = [part.decode() for part in state]
    known = dict(zip(texts[::2], texts[1::2], strict=False))
    flags = known["flags"].split(",")
    is_same = server == (known["ip"], int(known["port"]))
    return Opinion(
        epoch=int(known["config-epoch"]),
        server=server,
        is_down=is_same and ("s_down" in flags or "o_down" in flags),
    )
