"""Runs one function of this package in a process of its own.

``python -m benchmarks.job module:function JSON`` is the other end.
"""

import asyncio
import importlib
import inspect
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

TELEMETRY_OFF: Mapping[str, str] = {"OTEL_SDK_DISABLED": "true"}
"""Environment that turns off telemetry."""


def run_job(
    target: str, environ: Mapping[str, str] | None = None, **arguments: Any
) -> Any:
    """Call a function in a new process and return its result.

    Args:
        target: ``module:function``, relative to this package; may be a coroutine function.
        environ: additional environment variables.
        arguments: arguments of the function; they and the result are sent as JSON.
    """
    with start_job(target, environ, **arguments) as process:
        return result_of(process)


def start_job(
    target: str, environ: Mapping[str, str] | None = None, **arguments: Any
) -> "subprocess.Popen[str]":
    """Like `run_job`, but returns the process at once."""
    command = [sys.executable, "-m", "benchmarks.job", target, json.dumps(arguments)]
    # Settings of the caller's shell must not influence the figures.
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("EVMON", "OTEL"))}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**clean, **(environ or {})},
    )


def result_of(process: "subprocess.Popen[str]", within: float = 300) -> Any:
    """Wait for a job and return the result of its function.

    Args:
        process: process of the job.
        within: seconds to wait.

    Raises:
        RuntimeError: the job failed.
        TimeoutExpired: the job did not finish in time; it is killed.
    """
    try:
        output, _ = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    if process.returncode:
        raise RuntimeError(f"a job failed: {process.args}")
    return json.loads(output.splitlines()[-1])


def main() -> None:
    """Run the function of the command line; prints its result as the last line."""
    target, arguments = sys.argv[1:]
    logging.basicConfig(level=logging.ERROR)
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(f"benchmarks.{module}"), name)
    result = function(**json.loads(arguments))
    if inspect.iscoroutine(result):
        try:
            import uvloop
        except ImportError:
            result = asyncio.run(result)
        else:
            result = uvloop.run(result)
    sys.stdout.write(f"{json.dumps(result)}\n")


if __name__ == "__main__":
    main()
