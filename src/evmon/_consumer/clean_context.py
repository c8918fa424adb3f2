"""A clean context for each call: what a handler sets there is gone when it returns."""

from collections.abc import Awaitable, Callable, Generator
from contextvars import Context
from typing import Any


class InContext:
    """An awaitable that runs in a context of its own, on the current task.

    A task for each call would do the same at several times the cost: see
    ``benchmarks/context.py``.

    Args:
        call: function that returns the awaitable; it runs in the context too.
        context: the context.

    Example:
        >>> await InContext(handler, copy_context())
    """

    __slots__ = ("_call", "_context")

    def __init__(self, call: Callable[[], Awaitable[Any]], context: Context) -> None:
        self._call = call
        self._context = context

    def __await__(self) -> Generator[Any, Any, Any]:
        run = self._context.run
        steps: Any = run(_steps, self._call)
        step, value = steps.send, None
        while True:
            try:
                awaited = run(step, value)
            except StopIteration as done:
                return done.value
            try:
                step, value = steps.send, (yield awaited)
            except GeneratorExit:
                run(steps.close)
                raise
            except BaseException as error:  # noqa: BLE001 - goes to the handler
                step, value = steps.throw, error


def _steps(call: Callable[[], Awaitable[Any]]) -> Any:
    return call().__await__()
