"""Times the progress of a reply, not only the whole of it."""

from typing import Any, Final

from redis._parsers.hiredis import _AsyncHiredisParser

_OF_THE_CONNECTION: Final = -1
"""Stands for the time-out with which the connection was made."""


class ProgressParser(_AsyncHiredisParser):
    """A parser that restarts the time-out of its connection whenever data arrives.

    So a large reply on a slow link takes the time that it needs, and a connection on which
    nothing arrives still fails in time.
    """

    def on_connect(self, connection: Any) -> None:
        """Read from a connection that was opened."""
        super().on_connect(connection)  # type: ignore[no-untyped-call]
        self._connection = connection

    async def read_from_socket(self) -> bool:
        """Read what has arrived, or wait for it."""
        await super().read_from_socket()  # type: ignore[no-untyped-call]
        self._connection.update_current_socket_timeout(_OF_THE_CONNECTION)
        return True
