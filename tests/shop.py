"""A provider with two handlers, and scripts that run in their own process."""

import os
import subprocess
import sys
import textwrap

from evmon import Event, RetryPolicy, event_handler


class Orders:
    def __init__(self):
        self.seen = []

    @event_handler("order.created")
    async def created(self, event: Event) -> None:
        self.seen.append(("created", event.data))

    @event_handler("order.*", retry=RetryPolicy(max_retries=5))
    def audit(self, event: Event) -> None:
        self.seen.append(("audit", event.data))


def python(script, **environ):
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert 0 == result.returncode, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout
