"""Time of ``import evmon``, and packages that it must not import."""

import subprocess
import sys
import time

from benchmarks.figures import Figure, Settings, alternate
from benchmarks.redis_server import PrivateRedis

LAZY = ("redis", "rich", "click", "uvloop")
DEPENDENCIES = (
    "anyio, h11, msgspec, psutil, prometheus_client,"
    " opentelemetry.sdk.metrics, opentelemetry.exporter.prometheus"
)


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:  # noqa: ARG001
    """Compare with importing only the dependencies, each in a new interpreter."""
    code = f"import evmon, sys; print(*({{*{LAZY}}} & {{*sys.modules}}))"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True)
    results = alternate(
        "imports",
        {
            "import evmon": lambda: _seconds("import evmon"),
            "its dependencies": lambda: _seconds(f"import {DEPENDENCIES}"),
        },
        settings,
    )
    return [
        results.ratio("import evmon", "its dependencies", at_least=False),
        Figure(
            "imports",
            f"of {', '.join(LAZY)} imported",
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
