"""The other end of `measure.job`: ``python -m benchmarks.job module:function JSON``."""

import asyncio
import importlib
import inspect
import json
import logging
import sys


def main() -> None:
    """Run one function and print what it returns, as the last line, as JSON."""
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
