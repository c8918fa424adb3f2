"""Retries: the pure rule, and the one place that carries it out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from evmon._clock import Clock
from evmon._settings import ANY, at_least, one_of, setting, validate
from evmon._telemetry.recorders import RetryRecorder
from evmon.errors import ConfigError, InvalidEventError, Reject, RetryLater

T = TypeVar("T")

_PERMANENT = (Reject, InvalidEventError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Capped exponential backoff.

    The delay before retry *n* (from 0) is ``min(base_delay * multiplier**n,
    max_delay)``; with ``jitter="full"`` a random part of it, from 0 to the whole.

    Example:
        >>> [RetryPolicy().delay(n) for n in range(3)]
        [0.1, 0.2, 0.4]
    """

    max_retries: int = setting(
        3, at_least(0), "Retries after the first attempt; 0 tries once."
    )
    base_delay: float = setting(0.1, at_least(0), "Seconds before the first retry.")
    max_delay: float = setting(5.0, at_least(0), "Seconds before any retry at most.")
    multiplier: float = setting(
        2.0, at_least(1), "Factor from one delay to the next one."
    )
    jitter: Literal["full", "none"] = setting(
        "full", one_of("full", "none"), "Whether delays are spread at random."
    )
    retry_on: tuple[type[Exception], ...] = setting(
        (Exception,), ANY, "Errors that a retry may heal."
    )

    def __post_init__(self) -> None:
        validate(self)
        kinds = self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)
        for kind in kinds:
            if not (isinstance(kind, type) and issubclass(kind, Exception)):
                raise ConfigError(
                    f"RetryPolicy.retry_on={self.retry_on!r}:"
                    " must be classes derived from Exception"
                )
        object.__setattr__(self, "retry_on", kinds)

    def delay(self, n: int) -> float:
        """Seconds before retry `n` (from 0), jitter left aside."""
        try:
            return min(self.base_delay * self.multiplier**n, self.max_delay)
        except OverflowError:
            return self.max_delay if self.base_delay else 0.0

    def allows(self, n: int, error: BaseException) -> bool:
        """Whether retry `n` (from 0) may follow `error`."""
        if n >= self.max_retries or isinstance(error, _PERMANENT):
            return False
        return isinstance(error, (*self.retry_on, RetryLater))


class Retrier:
    """Carries out a policy for one component and records what it does.

    Args:
        clock: time and chance.
        recorder: of the component.
    """

    def __init__(self, clock: Clock, recorder: RetryRecorder) -> None:
        self._clock = clock
        self._recorder = recorder

    def next_delay(
        self, policy: RetryPolicy, n: int, error: BaseException
    ) -> float | None:
        """Decide about retry `n` (from 0) after `error`.

        Returns:
            seconds to wait, jitter included; None when the operation is given up.
        """
        if not policy.allows(n, error):
            self._recorder.exhausted(error)
            return None
        if isinstance(error, RetryLater):
            delay = error.delay
        else:
            delay = policy.delay(n)
            if policy.jitter == "full":
                delay *= self._clock.random()
        self._recorder.retrying(error, delay)
        return delay

    async def call(
        self, policy: RetryPolicy, operation: Callable[[], Awaitable[T]]
    ) -> T:
        """Await `operation()`, again after each failure that the policy forgives.

        Raises:
            Exception: the last failure, untouched, when the policy gives up.
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
