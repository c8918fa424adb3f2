"""Errors of redis-py become errors of evmon, without secrets."""

import pytest
from redis import exceptions as redis_errors

from evmon import TransportError
from evmon._transports.redis.errors import (
    BrokenError,
    GroupGoneError,
    ReadOnlyError,
    RefusedError,
    masked,
    translate,
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (redis_errors.ReadOnlyError("no writes"), ReadOnlyError),
        (redis_errors.ClusterDownError("Hash slot not served"), ReadOnlyError),
        (redis_errors.TryAgainError("keys on two nodes"), TransportError),
        (redis_errors.AuthenticationError("WRONGPASS"), RefusedError),
        (redis_errors.ResponseError("DB index is out of range"), RefusedError),
        (redis_errors.ConnectionError("reset"), BrokenError),
        (OSError("no route"), BrokenError),
        (redis_errors.ResponseError("NOGROUP No such key"), GroupGoneError),
        (redis_errors.ResponseError("UNBLOCKED the stream key"), GroupGoneError),
        (redis_errors.ResponseError("OOM command not allowed"), TransportError),
    ],
)
def test_an_error_of_redis_py_is_translated(error, kind):
    assert kind is type(translate(error))


def test_an_error_without_a_message_is_named_after_its_class():
    assert "TimeoutError" == str(translate(TimeoutError()))


@pytest.mark.parametrize("shown", ["p@ss/word", "p%40ss%2Fword"])
def test_a_secret_is_masked_plain_and_percent_encoded(shown):
    assert "to redis://:***@h" == masked(f"to redis://:{shown}@h", ["p@ss/word"])
