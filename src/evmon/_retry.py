"""The retrier: decides by a policy whether and when to retry."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from evmon._clock import Clock
from evmon._settings.retry_policy import RetryPolicy
from evmon._telemetry.recorders import RetryRecorder
from evmon.errors import RetryLater, decisive_error

T = TypeVar("T")


class Retrier:
    """Applies policies for one component and records its retries.

    Args:
        clock: source of time and randomness.
        recorder: recorder of the component's metrics.
    """

    def __init__(self, clock: Clock, recorder: RetryRecorder) -> None:
        self._clock = clock
        self._recorder = recorder

    def next_delay(
        self, policy: RetryPolicy, n: int, error: BaseException
    ) -> float | None:
        """Decide about retry `n` (from 0) after `error`.

        Returns:
            Seconds to wait, jitter included; None if the operation is not retried.
        """
        if not policy.allows(n, error):
            self._recorder.exhausted(error)
            return None
        decisive = decisive_error(error)
        if isinstance(decisive, RetryLater):
            delay = decisive.delay
        else:
            delay = policy.delay(n)
            if policy.jitter == "full":
                delay *= self._clock.random()
        self._recorder.retrying(error, delay)
        return delay

    async def call(
        self, policy: RetryPolicy, operation: Callable[[], Awaitable[T]]
    ) -> T:
        """Await `operation()`, retrying as the policy allows.

        Raises:
            Exception: the error of the last attempt, unchanged.
        """
        n = 0
        while True:
            try:
                return await operation()
            except Exception as error:
                delay = self.next_delay(policy, n, error)
                if delay is None:
                    raise
            await self._clock.sleep(delay)
            n += 1
