"""SIGUSR1: logs where the memory was allocated that a running service holds."""

import logging
import signal
import threading
import tracemalloc
from typing import Final

from evmon._settings.thresholds import BYTES_PER_MB

LINES: Final = 20
"""Maximum number of lines of source code in the log."""

_NUMBER: Final = getattr(signal, "SIGUSR1", None)
_lock = threading.Lock()
_log = logging.getLogger("evmon.bus")


def listen() -> None:
    """Handle SIGUSR1 until `end`, unless the application does.

    The first one starts tracing, the next one logs what was allocated since and is still
    held, and ends tracing. Under PYTHONTRACEMALLOC, tracing has begun with the process.
    """
    if _NUMBER is not None and signal.getsignal(_NUMBER) is signal.SIG_DFL:
        signal.signal(_NUMBER, _on_signal)


def end() -> None:
    """Return SIGUSR1 to its default, which ends the process."""
    if _NUMBER is not None and signal.getsignal(_NUMBER) is _on_signal:
        signal.signal(_NUMBER, signal.SIG_DFL)


def _on_signal(*_: object) -> None:
    # In a thread: a snapshot takes long, and the signal may have interrupted `logging`.
    threading.Thread(target=_trace_or_report, name="evmon-allocations").start()


def _trace_or_report() -> None:
    with _lock:
        if not tracemalloc.is_tracing():
            tracemalloc.start()
            _log.warning(
                "tracing allocations, which slows this process down: the next SIGUSR1"
                " logs what is still held, and ends it"
            )
            return
        snapshot = tracemalloc.take_snapshot()
        tracemalloc.stop()
    own = tracemalloc.Filter(inclusive=False, filename_pattern=tracemalloc.__file__)
    held = snapshot.filter_traces((own,)).statistics("lineno")
    _log.warning(
        "%.1f MB were allocated while tracing and are still held; the lines with the most:",
        sum(line.size for line in held) / BYTES_PER_MB,
    )
    for line in held[:LINES]:
        frame = line.traceback[0]
        size = line.size / BYTES_PER_MB
        where = f"{frame.filename}:{frame.lineno}"
        _log.warning("%.3f MB in %d blocks: %s", size, line.count, where)
