"""The retry policy: how often and after which delays a failure is retried."""

from dataclasses import dataclass
from typing import Literal

from evmon._settings.fields import (
    ANY,
    at_least,
    documented,
    one_of,
    setting,
    validate,
)
from evmon.errors import (
    ConfigError,
    InvalidEventError,
    Reject,
    RetryLater,
    decisive_error,
    leaf_errors,
)

_PERMANENT = (Reject, InvalidEventError)


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Capped exponential backoff, by default with full jitter.

    The delay before retry *n* (from 0) is ``min(base_delay * multiplier**n,
    max_delay)``; with ``jitter="full"`` it is uniformly random between 0 and that.
    `Reject` and `InvalidEventError` are never retried.

    Example:
        >>> [RetryPolicy().delay(n) for n in range(3)]
        [0.1, 0.2, 0.4]
    """

    max_retries: int = setting(
        3, at_least(0), "Maximum retries after the first attempt; 0 disables retries."
    )
    base_delay: float = setting(0.1, at_least(0), "Seconds before the first retry.")
    max_delay: float = setting(5.0, at_least(0), "Maximum seconds before a retry.")
    multiplier: float = setting(
        2.0, at_least(1), "Factor by which each delay exceeds the one before."
    )
    jitter: Literal["full", "none"] = setting(
        "full", one_of("full", "none"), "Randomize delays ('full') or not ('none')."
    )
    retry_on: tuple[type[Exception], ...] = setting(
        (Exception,), ANY, "Exception types worth retrying."
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
        """The delay before a retry, without jitter.

        Args:
            n: number of the retry, from 0.

        Returns:
            Seconds.

        Example:
            >>> RetryPolicy(base_delay=1, max_delay=3).delay(2)
            3
        """
        try:
            return min(self.base_delay * self.multiplier**n, self.max_delay)
        except OverflowError:
            return self.max_delay if self.base_delay else 0.0

    def allows(self, n: int, error: BaseException) -> bool:
        """Whether an error may be retried.

        Args:
            n: number of the retry, from 0.
            error: error that the last attempt raised.

        Returns:
            False if retries are exhausted, or the error is permanent or not listed in
            `retry_on`. An ExceptionGroup is judged by the errors in it: see
            `RetryLater`; otherwise all of them must be listed.

        Example:
            >>> RetryPolicy(retry_on=(OSError,)).allows(0, KeyError("id"))
            False
        """
        decisive = decisive_error(error)
        if n >= self.max_retries or isinstance(decisive, _PERMANENT):
            return False
        if isinstance(decisive, RetryLater):
            return True
        return all(isinstance(leaf, self.retry_on) for leaf in leaf_errors(error))
