"""Failpoints: points at which a test can kill the process; off unless configured.

``EVMON_FAILPOINT=after_read:3`` kills the process, like ``kill -9``, when it reaches
that point for the third time. Callers check `ON` first, so a disabled failpoint costs
little.
"""

import os
import signal
from typing import Final

POINTS: Final = (
    "after_read",
    "after_handler",
    "after_ack",
    "before_settle",
    "after_settle",
    "before_publish",
    "after_publish",
    "during_drain",
    "after_reclaim",
    "during_replay",
)

_name, _, _count = os.environ.get("EVMON_FAILPOINT", "").partition(":")

ON: Final = bool(_name)
"""Whether a failpoint is configured."""

_left = int(_count or 1)


def reach(point: str) -> None:
    """Reach a failpoint; kills the process if it is the configured one.

    Args:
        point: one of `POINTS`.
    """
    global _left  # noqa: PLW0603 - one counter per process
    if point != _name:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
