"""The Lua scripts: what must happen in one step happens in Redis.

They are sent whole each time (`EVAL`): a script is a few hundred bytes in a round trip
that is made once for many events, and none can be missing after a restart of the server.
"""

from importlib.resources import files
from typing import Final


def _load(name: str) -> str:
    """The script without its comments, which the server need not read."""
    text = (files(__package__) / "lua" / f"{name}.lua").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return "\n".join(lines)


_ORPHANED: Final = _load("orphaned") + "\n"

PUBLISH: Final = _load("publish")
SETTLE: Final = _ORPHANED + _load("settle")
GROUP: Final = _load("group")
PROMOTE: Final = _load("promote")
RECLAIM: Final = _load("reclaim")
RECOVER: Final = _load("recover")
RENEW: Final = _load("renew")
RELEASE: Final = _ORPHANED + _load("release")
FORGET: Final = _load("forget")
STATS: Final = _load("stats")
TRIM: Final = _load("trim")
REPLAY: Final = _load("replay")
