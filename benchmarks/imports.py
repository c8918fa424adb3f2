"""What ``import evmon`` costs, and what it leaves alone."""

import subprocess
import sys
import time

from benchmarks.measure import Figure, Settings, alternate
from benchmarks.servers import PrivateRedis

NOT_NEEDED = ("redis", "rich", "click", "uvloop")
NEEDED = (
    "anyio, h11, msgspec, psutil, prometheus_client,"
    " opentelemetry.sdk.metrics, opentelemetry.exporter.prometheus"
)


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Against a start of the interpreter that imports only what evmon builds on."""
    code = f"import evmon, sys; print(*({{*{NOT_NEEDED}}} & {{*sys.modules}}))"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True)
    results = alternate(
        {
            "import evmon": lambda: _seconds("import evmon"),
            "its dependencies": lambda: _seconds(f"import {NEEDED}"),
        },
        settings,
    )
    return [
        results.ratio("imports", "import evmon", "its dependencies", at_least=False),
        Figure(
            "imports",
            f"of {', '.join(NOT_NEEDED)} imported",
            len(loaded.stdout.split()),
            bar=0,
            reach=0,
            at_least=False,
            unit="modules",
        ),
    ]


def _seconds(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started
