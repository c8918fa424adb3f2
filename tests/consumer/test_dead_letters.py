"""A dead letter tells why, in one printable line, whatever the error says of itself."""

import pytest
from tests.consumer_harness import raw

from evmon import Event, InvalidEventError, Reject
from evmon._consumer.dead_letters import MAX_MESSAGE, given_up, printable, undecodable
from evmon._events import now
from evmon._telemetry import instruments as i
from evmon._transports.base import Received


async def test_a_handler_that_never_succeeds_ends_in_a_dead_letter(
    make_harness, measured
):
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


async def test_data_that_does_not_fit_is_a_dead_letter_and_no_retry(make_harness):
    def handle(number: int): ...

    harness = make_harness()
    harness.on("a", handle)
    async with harness:
        await harness.send(raw("a", data="seven"))
        await harness.until_settled()

    assert ["invalid_data"] == harness.reasons


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no words")


async def test_an_error_that_cannot_say_what_it_is_harms_only_its_event(make_harness):
    def fail(event):
        raise MuteError

    harness = make_harness()
    harness.on("a", fail)
    async with harness:
        await harness.send(raw("a"))
        await harness.until_settled()

    assert ["handler_error"] == harness.reasons


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


def test_untrusted_text_is_one_short_printable_line():
    assert "a b?" == printable("a\r\n  b\x1b")
    assert MAX_MESSAGE == len(printable("x" * 9999))
