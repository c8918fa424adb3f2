"""Dead letters: reason, attempts, and an error message of one printable line."""

import pytest
from tests.consumer_harness import raw

from evmon import Event, InvalidEventError, Reject
from evmon._consumer.dead_letters import given_up, undecodable
from evmon._events import now
from evmon._telemetry import instruments as i
from evmon._transports.base import Received


async def test_exhausted_retries_end_in_a_dead_letter(make_harness, measured):
    async def fail(event):
        raise ValueError("bad\norder \ud800")

    harness = make_harness()
    harness.on("a", fail)
    harness.on("a", lambda e: None)
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    (entry,) = harness.transport.dead_letters
    assert "handler_error" == entry.letter.reason
    assert "builtins.ValueError" == entry.letter.error_type
    assert "bad order ?" == entry.letter.error_message
    assert 3 == entry.letter.attempts
    assert 1 == len(entry.letter.handlers)
    assert 1 == measured.total(
        i.DEAD_LETTERS, **{"evmon.dead_letter.reason": "handler_error"}
    )


async def test_data_that_fails_validation_is_dead_lettered(make_harness):
    def handle(number: int): ...

    harness = make_harness()
    harness.on("a", handle)
    async with harness:
        await harness.send(raw("a", data="seven"))
        await harness.until_settled()

    assert ["invalid_data"] == harness.reasons


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no message")


async def test_an_error_whose_str_raises_dead_letters_its_event(make_harness):
    def fail(event):
        raise UnprintableError

    harness = make_harness()
    harness.on("a", fail)
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert ["handler_error"] == harness.reasons


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("a"), "handler_error"),
        (Reject("a"), "rejected"),
        (InvalidEventError("invalid_data", "a"), "invalid_data"),
    ],
)
def test_the_error_of_a_handler_gives_reason_and_message(error, reason):
    event = Event(id="7", source="shop", type="paid", time=now(), traceparent="00-a")
    letter = given_up(event, "one", error, 4)

    assert (reason, "a") == (letter.reason, letter.error_message)
    assert (("one",), 4) == (letter.handlers, letter.attempts)
    assert ("paid", "7", "00-a") == (
        letter.event_type,
        letter.event_id,
        letter.traceparent,
    )


def test_an_undecodable_event_keeps_its_attempts():
    error = InvalidEventError("decode_error", "no JSON")
    letter = undecodable(error, Received("1", b"{", attempts=2))

    assert ("decode_error", 2, "") == (
        letter.reason,
        letter.attempts,
        letter.event_type,
    )
