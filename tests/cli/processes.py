"""Runs evmon in a process of its own."""

import signal
import subprocess
import sys


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "evmon", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def stops_in_order(process, within):
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=within)
    assert 0 == process.returncode, errors
    assert "Traceback" not in errors
