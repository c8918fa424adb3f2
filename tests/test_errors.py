"""Exceptions survive pickling and copying; a group is judged by the errors in it."""

import copy
import pickle
import sys

import pytest

from evmon import (
    BusStateError,
    ConfigError,
    DiscoveryError,
    InvalidEventError,
    PublishError,
    Reject,
    RetryLater,
    RetryPolicy,
    TransportError,
)
from evmon.errors import decisive_error

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup


class OwnError(RetryLater):
    def __init__(self, first, second):
        super().__init__(first)
        self.second = second


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize(
    "error",
    [
        RetryLater(2.5),
        Reject("no"),
        PublishError("7", "full"),
        InvalidEventError("invalid_data", "no id"),
        ConfigError("bad"),
        BusStateError("stopped"),
        DiscoveryError("none"),
        TransportError("gone"),
        OwnError(1, "more"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_pickle_and_copy(error, duplicate):
    made = duplicate(error)
    made = pickle.loads(made) if isinstance(made, bytes) else made

    assert type(error) is type(made)
    assert str(error) == str(made)
    assert vars(error) == vars(made)


def test_a_rejection_in_a_group_decides_before_a_retry():
    reject = Reject("no")
    group = ExceptionGroup("", [RetryLater(9), ExceptionGroup("", [reject])])

    assert reject is decisive_error(group)
    assert not RetryPolicy().allows(0, group)


def test_the_longest_delay_in_a_group_decides():
    group = ExceptionGroup("", [RetryLater(1), OSError(), RetryLater(9)])

    assert 9 == decisive_error(group).delay
    assert RetryPolicy(retry_on=()).allows(0, group)


def test_a_group_is_retried_if_all_of_its_errors_may_be():
    policy = RetryPolicy(retry_on=(OSError,))

    assert policy.allows(0, ExceptionGroup("", [OSError(), ConnectionError()]))
    assert not policy.allows(0, ExceptionGroup("", [OSError(), KeyError()]))
