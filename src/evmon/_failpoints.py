"""Places where a test lets the process die: nothing, unless the environment names one.

``EVMON_FAILPOINT=after_read:3`` kills the process, as ``kill -9`` would, when it comes to
that point for the third time. Callers ask ``if ON:`` first, so a point that is off costs
one look at a constant. The names are in `POINTS`.
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
"""Whether any point is named."""

_left = int(_count or 1)


def reach(point: str) -> None:
    """The process comes to a point; it may be its last."""
    global _left  # noqa: PLW0603 - the one count of this process
    if point != _name:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
