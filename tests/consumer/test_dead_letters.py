"""A dead letter tells why, in one printable line, whatever the error says of itself."""

import pytest
from tests.stage import raw

from evmon import Event, InvalidEventError, Reject
from evmon._consumer.dead_letters import given_up, undecodable
from evmon._events import now
from evmon._telemetry import instruments as i
from evmon._transports.base import Received


async def test_a_handler_that_never_succeeds_ends_in_a_dead_letter(stage, measured):
    async def fail(event):
        raise ValueError("bad\norder \ud800")

    s = stage()
    s.on("a", fail)
    s.on("a", lambda e: None)
    async with s:
        await s.send(raw("a"))
        await s.until_settled()

    (entry,) = s.transport.dead_letters
    assert entry.letter.reason == "handler_error"
    assert entry.letter.error_type == "builtins.ValueError"
    assert entry.letter.error_message == "bad order ?"
    assert entry.letter.attempts == 3
    assert len(entry.letter.handlers) == 1
    assert (
        measured.total(i.DEAD_LETTERS, **{"evmon.dead_letter.reason": "handler_error"})
        == 1
    )


async def test_data_that_does_not_fit_is_a_dead_letter_and_no_retry(stage):
    def handle(number: int): ...

    s = stage()
    s.on("a", handle)
    async with s:
        await s.send(raw("a", data="seven"))
        await s.until_settled()

    assert s.reasons == ["invalid_data"]


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no words")


async def test_an_error_that_cannot_say_what_it_is_harms_only_its_event(stage):
    def fail(event):
        raise MuteError

    s = stage()
    s.on("a", fail)
    async with s:
        await s.send(raw("a"))
        await s.until_settled()

    assert s.reasons == ["handler_error"]


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (ValueError("a"), "handler_error"),
        (Reject("a"), "rejected"),
        (InvalidEventError("invalid_data", "a"), "invalid_data"),
    ],
)
def test_the_first_error_of_several_says_why(first, reason):
    event = Event(id="7", source="shop", type="paid", time=now(), traceparent="00-a")
    letter = given_up(event, [("one", first), ("two", KeyError("b"))], 4)

    assert (reason, "a") == (letter.reason, letter.error_message)
    assert (("one", "two"), 4) == (letter.handlers, letter.attempts)
    assert ("paid", "7", "00-a") == (
        letter.event_type,
        letter.event_id,
        letter.traceparent,
    )


def test_what_cannot_be_decoded_keeps_its_attempts():
    error = InvalidEventError("decode_error", "no JSON")
    letter = undecodable(error, Received("1", b"{", attempts=2))

    assert ("decode_error", 2, "") == (
        letter.reason,
        letter.attempts,
        letter.event_type,
    )
