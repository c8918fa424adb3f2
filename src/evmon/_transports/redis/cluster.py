"""Asks the nodes of a cluster which of them has the slot of a service.

All keys of a service are in one slot, so everything goes to one node.
"""

import random
from collections.abc import Sequence
from typing import Any, Final

from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError

from evmon._clock import Clock
from evmon._transports.redis.connections import Connections
from evmon._transports.redis.dial import Dial, Server
from evmon._transports.redis.primary import FixedServer, Primary, ask_all

ASKED: Final = 3
"""Maximum number of nodes asked at once."""


class ClusterNodes:
    """The finder of the node that has a slot.

    Args:
        key: a key in the slot.
        nodes: some nodes of the cluster.
        dial: opens connections to them.
        clock: source of time.
    """

    check_interval: float | None = None

    def __init__(
        self, key: str, nodes: Sequence[Server], dial: Dial, clock: Clock
    ) -> None:
        self._slot = key_slot(key.encode())
        self._given = tuple(nodes)
        self._nodes = set(nodes)
        self._dial = dial
        self._clock = clock

    async def find(self, lost: Server | None, within: float) -> Server:
        """The node that has the slot; the lost one is asked last."""
        others = sorted(self._nodes - {lost})
        random.shuffle(others)
        if lost:
            others.append(lost)
        problem: Exception | None = None
        for start in range(0, len(others), ASKED):
            asked = others[start : start + ASKED]
            try:
                owner, nodes = (await ask_all(self._ask, asked, 1, within))[0]
            except RedisConnectionError as error:
                problem = error
                continue
            self._nodes = {*nodes, *self._given}
            return owner
        raise problem or RedisConnectionError("no node is known")

    async def close(self) -> None:
        """Nothing to close: nodes are asked too seldom to keep connections to them."""

    async def _ask(self, server: Server) -> tuple[Server, set[Server]]:
        """The node that has the slot, and all nodes, as one node knows them."""
        connections = Connections(
            self._dial, Primary(FixedServer(server), timeout=0, clock=self._clock)
        )
        try:
            (reply,) = await connections.exchange([("CLUSTER", "SLOTS")])
        finally:
            await connections.close()
        if isinstance(reply, Exception):
            raise reply
        nodes: set[Server] = set()
        owner = None
        for first, last, *members in reply:
            found = [_server(member, server) for member in members]
            nodes.update(found)
            if first <= self._slot <= last:
                owner = found[0]
        if owner is None:
            raise RedisConnectionError(f"slot {self._slot} has no node")
        return owner, nodes


def _server(member: Sequence[Any], asked: Server) -> Server:
    """Host and port of a node; without a host it is that of the node that was asked."""
    host = (member[0] or b"").decode()
    return (host if host not in ("", "?") else asked[0], member[1])
