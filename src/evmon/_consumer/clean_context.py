"""A clean context for each call: what a handler sets there is gone when it returns."""

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from typing import Any


def call_in_context(
    context: Context, call: Callable[..., Any], arguments: tuple[Any, ...]
) -> Awaitable[Any] | None:
    """Call a function in a context, on the current task, until it waits.

    A task for each call would do the same at a higher cost: see
    ``benchmarks/context.py``.

    Args:
        context: the context.
        call: function that returns an awaitable; runs in the context, too.
        arguments: arguments of the function.

    Returns:
        The rest of the call, to be awaited at once; None if the call never waited.

    Example:
        >>> rest = call_in_context(copy_context(), handle, (event,))
        >>> if rest is not None:
        ...     await rest
    """
    run = context.run
    coroutine, awaited = run(_first_step, call, arguments)
    return None if coroutine is None else _rest(run, coroutine, awaited)


def _first_step(call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    coroutine = call(*arguments)
    if type(coroutine) is not types.CoroutineType:
        coroutine = _await(coroutine)
    try:
        return coroutine, coroutine.send(None)
    except StopIteration:
        return None, None


async def _await(awaitable: Awaitable[Any]) -> None:
    await awaitable


@types.coroutine
def _rest(
    run: Callable[..., Any], coroutine: Coroutine[Any, Any, Any], awaited: Any
) -> Generator[Any, Any, None]:
    try:
        while True:
            try:
                value = yield awaited
            except GeneratorExit:  # noqa: PERF203 - one step at a time
                run(coroutine.close)
                raise
            except BaseException as error:  # noqa: BLE001 - goes to the handler
                awaited = run(coroutine.throw, error)
            else:
                awaited = run(coroutine.send, value)
    except StopIteration:
        return
