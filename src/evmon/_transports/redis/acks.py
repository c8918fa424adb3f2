"""Acknowledges handled entries, unless another consumer has reclaimed them."""

import logging
from collections.abc import Sequence

from evmon._log_fields import about_many
from evmon._transports.redis import scripts
from evmon._transports.redis.connections import Command
from evmon._transports.redis.consumer import Consumer
from evmon._transports.redis.held import HeldEntries

_log = logging.getLogger("evmon.transport")


class Acks:
    """Acknowledgements of one consumer.

    Args:
        consumer: consumer that handled the entries.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def command(self, held: HeldEntries, ids: Sequence[str]) -> Command:
        """The command that acknowledges entries of a stream."""
        args = (held.group, self._consumer.name, *ids)
        return scripts.ACK.command((held.stream,), args)

    def report(
        self,
        held: HeldEntries,
        reply: tuple[int, Sequence[bytes]],
        ids: Sequence[str],
    ) -> bool:
        """Report entries that were handled here and belong to another consumer.

        Args:
            held: held entries of the stream.
            reply: reply to the command.
            ids: the ids that were sent.

        Returns:
            False if the server has no entry for some of the ids.
        """
        acked, reclaimed = reply
        for _ in reclaimed:
            held.recorder.lease_lost()
        if reclaimed:
            entry_ids = [entry_id.decode() for entry_id in reclaimed]
            subject = about_many(len(reclaimed), entry_ids=entry_ids)
            _log.warning(
                "%s were reclaimed by another consumer while they were handled here: they"
                " are handled twice",
                subject,
                extra=subject.fields,
            )
        return acked + len(reclaimed) == len(ids)
