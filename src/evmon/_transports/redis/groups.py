"""Creates the consumer groups of a consumer, and recreates deleted ones."""

import logging

from evmon._transports.redis import scripts
from evmon._transports.redis.client import Client
from evmon._transports.redis.consumer import Consumer
from evmon._transports.redis.held import HeldEntries
from evmon.errors import TransportError

_log = logging.getLogger("evmon.transport")


class ConsumerGroups:
    """The consumer groups of one consumer, one for each stream.

    Args:
        consumer: consumer that reads with the groups.
        client: connection to Redis.
    """

    def __init__(self, consumer: Consumer, client: Client) -> None:
        self._consumer = consumer
        self._client = client
        self._deleted = False
        self.needed = False
        """Whether events are read here; a process that only publishes needs no group."""
        self.exist = False
        """Whether all groups existed at the last check."""

    @property
    def missing(self) -> bool:
        """Whether a needed group was deleted and is not recreated yet."""
        return self.needed and self._deleted

    def mark_deleted(self) -> None:
        """A command failed because a group or its stream does not exist."""
        self.exist = False
        self._deleted = True

    async def create(self) -> None:
        """Create the missing groups; each reads its stream from the start.

        Raises:
            TransportError: the server cannot be reached, or refuses.
        """
        self.needed = True
        for held in self._consumer.streams:
            if await self._create_group(held) and self._deleted:
                held.recorder.group_recreated()
                _log.error(
                    "group %s of %s was missing and has been recreated: it reads from"
                    " the start, so handled events are delivered again",
                    held.group,
                    held.stream,
                )
        self.exist = True
        self._deleted = False

    async def recreate(self) -> None:
        """Recreate deleted groups, unless this process only publishes.

        Raises:
            TransportError: the server cannot be reached, or refuses.
        """
        if self.needed:
            self.mark_deleted()
            await self.create()

    async def _create_group(self, held: HeldEntries) -> bool:
        """Create one group; False if it exists."""
        try:
            await self._client.eval(scripts.GROUP, (held.stream,), (held.group,))
        except TransportError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
            return False
        return True
