"""A Redis Cluster of private servers, whose slots can be moved and whose nodes can fail."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import anyio
from redis.crc import key_slot
from redis.exceptions import RedisError

from chaos.redis_server import RedisServer, free_port

NODE_TIMEOUT: Final = 1000
"""Milliseconds of silence after which a node counts as failed."""

FORM_WITHIN: Final = 30.0
SLOTS: Final = 16384
KEY: Final = "evmon:{chaos}:events"
"""A key in the slot that everything is in."""


class Cluster:
    """Primaries that share the slots; the first has the slot of the run.

    Args:
        folder: directory for the files of the servers.
        replicas: number of replicas of each primary.
        key: a key in that slot.
    """

    def __init__(self, folder: Path, replicas: Sequence[int], key: str = KEY) -> None:
        self.slot = key_slot(key.encode())
        self.nodes: list[RedisServer] = []
        self._replicas = replicas
        for number in range(len(replicas) + sum(replicas)):
            own = folder / f"node{number}"
            own.mkdir()
            self.nodes.append(RedisServer(own, "everysec", *_options()))

    @property
    def url(self) -> str:
        """URL of all nodes."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{hosts}"

    async def start(self) -> None:
        """Start the nodes, form the cluster and wait until it works.

        Raises:
            TimeoutError: it does not form in time.
        """
        for node in self.nodes:
            await node.start()
        first = self.nodes[0]
        for node in self.nodes[1:]:
            bus = node.execute("CONFIG", "GET", "cluster-port")["cluster-port"]
            first.execute("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        primaries = self.nodes[: len(self._replicas)]
        share = -(-SLOTS // len(primaries))
        for number, node in enumerate(primaries):
            start = (number + self.slot // share) % len(primaries) * share
            last = min(start + share, SLOTS) - 1
            node.execute("CLUSTER", "ADDSLOTSRANGE", start, last)
        await self._until(lambda: all(self._knows_all(n) for n in self.nodes))
        replicas = iter(self.nodes[len(primaries) :])
        for primary, count in zip(primaries, self._replicas, strict=True):
            for _ in range(count):
                await self._replicate(next(replicas), primary)
        await self._until(lambda: all(self._works(node) for node in self.nodes))

    def owner(self) -> RedisServer:
        """The node that has the slot, as the nodes that answer know it.

        Raises:
            RuntimeError: none answers.
        """
        for node in self.nodes:
            try:
                ports = [
                    int(row[2][1])
                    for row in node.execute("CLUSTER", "SLOTS")
                    if int(row[0]) <= self.slot <= int(row[1])
                ]
            except RedisError:
                continue
            for other in self.nodes:
                if [other.port] == ports and other.is_up():
                    return other
        raise RuntimeError("no node has the slot")

    def replicas_of(self, primary: RedisServer) -> list[RedisServer]:
        """The replicas of a node."""
        ports = {int(row[1]) for row in primary.execute("ROLE")[2]}
        return [node for node in self.nodes if node.port in ports]

    def execute(self, *command: Any) -> Any:
        """Send a command to the node that has the slot, and return the reply.

        Raises:
            RedisError: the server replied with an error or is not reachable.
        """
        return self.owner().execute(*command)

    async def move_slot(
        self,
        order: Callable[[Iterable[str]], list[str]],
        between: Callable[[], Awaitable[object]],
        target: RedisServer | None = None,
    ) -> None:
        """Move the slot to another primary, key by key, as ``CLUSTER SETSLOT`` describes.

        Args:
            order: order in which the keys are moved.
            between: awaited after each key.
            target: node to move to; any other primary by default.
        """
        source = self.owner()
        target = target or next(n for n in self._serving() if n is not source)
        ids = {node: node.execute("CLUSTER", "MYID") for node in (source, target)}
        setslot = ("CLUSTER", "SETSLOT", self.slot)
        to = ("127.0.0.1", target.port)
        target.execute(*setslot, "IMPORTING", ids[source])
        source.execute(*setslot, "MIGRATING", ids[target])
        while True:
            keys = source.execute("CLUSTER", "GETKEYSINSLOT", self.slot, 1000)
            if not keys:
                break
            for key in order(keys):
                source.execute("MIGRATE", *to, key, 0, 10_000, "REPLACE")
                await between()
        for node in (target, source, *self._serving()):
            node.execute(*setslot, "NODE", ids[target])

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to all nodes and wait until they exit."""
        for node in self.nodes:
            node.unfreeze()
            node.stop(number)

    def _serving(self) -> list[RedisServer]:
        return [n for n in self.nodes if n.is_up() and n.execute("ROLE")[0] == "master"]

    async def _replicate(self, replica: RedisServer, primary: RedisServer) -> None:
        primary_id = primary.execute("CLUSTER", "MYID")
        await self._until(
            lambda: primary_id in str(replica.execute("CLUSTER", "NODES"))
        )
        replica.execute("CLUSTER", "REPLICATE", primary_id)
        await self._until(lambda: "connected" in replica.execute("ROLE"))

    def _knows_all(self, node: RedisServer) -> bool:
        info = node.execute("CLUSTER INFO")
        return int(info["cluster_known_nodes"]) == len(self.nodes)

    def _works(self, node: RedisServer) -> bool:
        return bool(node.execute("CLUSTER INFO")["cluster_state"] == "ok")

    async def _until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(FORM_WITHIN):
            while not condition():
                await asyncio.sleep(0.05)


def _options() -> tuple[str, ...]:
    # The default port of the cluster's bus, 10,000 higher, may not exist.
    return (
        *("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
        *("--cluster-node-timeout", str(NODE_TIMEOUT)),
        *("--cluster-require-full-coverage", "no"),
        *("--repl-diskless-sync-delay", "0", "--repl-timeout", "10"),
    )
