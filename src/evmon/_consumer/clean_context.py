"""A clean context for each call: what a handler sets there is gone when it returns."""

import types
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any


@types.coroutine
def in_context(
    context: Context, call: Callable[..., Any], *arguments: Any
) -> Generator[Any, Any, Any]:
    """Call a function in a context, and await there what it returns.

    It runs on the current task. A task for each call would do the same at a higher
    cost: see ``benchmarks/context.py``.

    Args:
        context: the context.
        call: function that returns an awaitable.
        arguments: arguments of the function.

    Example:
        >>> await in_context(copy_context(), handle, event)
    """
    run = context.run
    try:
        # One step for both, because most handlers of a busy service never wait.
        steps, awaited = run(_first_step, call, arguments)
        while True:
            try:
                value = yield awaited
            except GeneratorExit:  # noqa: PERF203 - one step at a time
                run(steps.close)
                raise
            except BaseException as error:  # noqa: BLE001 - goes to the handler
                awaited = run(steps.throw, error)
            else:
                awaited = run(steps.send, value)
    except StopIteration as done:
        return done.value


def _first_step(call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    awaitable = call(*arguments)
    if type(awaitable) is not types.CoroutineType:
        awaitable = awaitable.__await__()
    return awaitable, awaitable.send(None)
