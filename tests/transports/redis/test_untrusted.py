"""Whatever other programs write to the keys of a service, nothing fails that reads it."""

import random

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.transports.redis.entries import (
    DEAD,
    ENTRIES,
    RETRY,
    STREAM,
    an_event,
    read_all,
)

from evmon import TransportError
from evmon._cli.dead_letters import (
    LetterLines,
    Selection,
    letter_as_json,
    raw_fields,
    recorded_facts,
)
from evmon._telemetry import instruments as i
from evmon._transports.base import DeadLetter, Redelivery
from evmon._transports.redis.dead_letters import (
    MAX_FIELDS,
    _parse,
    _replay_fields,
    dead_fields,
)
from evmon._transports.redis.entries import OWN_FIELDS, mapping, read_extra
from evmon._transports.redis.held import HeldEntries

FACTS = ("reason", "group", "stream", "handlers", "redriven", "attempts", "event_type")
NAMES = st.one_of(
    st.sampled_from(
        [b"packed", *OWN_FIELDS, *(f"dead.{fact}".encode() for fact in FACTS)]
    ),
    st.binary(max_size=20),
)
VALUES = st.one_of(
    st.binary(max_size=50),
    st.sampled_from(
        [b"9" * 5000, b"-1", b"nan", "\u00b2".encode(), b"\xdd\xff\xff\xff\xff"]
    ),
    st.recursive(
        st.binary(max_size=5) | st.integers(-(2**63), 2**63) | st.none(),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    ).map(msgspec.msgpack.encode),
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=8).map(
    lambda pairs: [part for pair in pairs for part in pair]
)


def parsed(fields):
    return HeldEntries("s", "g")._parse("1-0", fields, 1)


@given(FIELDS)
def test_any_entry_is_parsed(fields):
    extra = read_extra(mapping(fields))
    assert 0 <= extra.attempts < 1e11
    assert 0 <= extra.first_failed < 1e11
    HeldEntries("s", "g").add_new([(b"1-0", fields)])


@given(FIELDS)
@example([b"packed", b"hello"])
@example([b"dead.redriven", b"9" * 5000])
def test_any_dead_letter_is_listed_shown_and_replayed(fields):
    letter = _parse(b"1-0", fields)

    assert letter.reason
    assert fields == letter.stored
    assert len(fields) // 2 == len(raw_fields(letter))
    recorded_facts(letter)
    letter_as_json(letter)
    assert "\n" not in LetterLines([letter]).line(letter)
    Selection("**", None)._matches(letter)
    replayed = _replay_fields(letter)
    assert replayed
    assert 0 == len(replayed) % 2


@given(FIELDS)
@example([b"packed", b"hello"])
@example([b"packed", msgspec.msgpack.encode([b"event", b"x"])])
@example([b"dead.reason", b"forged", b"event", b"x"])
@example([b"name", b"v"] * (MAX_FIELDS + 1))
def test_a_dead_letter_holds_the_fields_of_any_entry_unchanged(fields):
    received = parsed(fields)
    if received is None:  # for another group
        return
    stored = dead_fields(received, DeadLetter("decode_error"), "consumer", 0)
    letter = _parse(b"1-0", stored)

    assert fields == list(letter.fields)
    assert "decode_error" == letter.reason


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ((b"packed", b"hello"), "'packed' 'hello'"),
        ((b"a b", b"\x1b\xff"), r"'a b' '\x1b\xff'"),
        ((b" b", b" b'"), "' b' \" b'\""),
    ],
)
def test_a_raw_field_is_printable(fields, line):
    assert [line] == raw_fields(_parse(b"1-0", fields))


def test_a_dead_letter_without_a_reason_is_unreadable():
    letter = _parse(b"1-0", [b"event", an_event()])

    assert "unreadable" == letter.reason
    assert {"reason": "unreadable", "id": "1-0", "entry_id": ""} == recorded_facts(
        letter
    )


PACK = msgspec.msgpack.encode
FOREIGN_RETRIES = {
    "text": b"hello",
    "nothing": b"",
    "cut off": b"\xdd\xff\xff\xff\xff",
    "nil": PACK(None),
    "number": PACK(7),
    "no fields": PACK([STREAM, []]),
    "half a field": PACK([STREAM, ["event"]]),
    "number as value": PACK([STREAM, ["event", None]]),
    "fields as a map": PACK([STREAM, {"event": "x"}]),
    "very many fields": PACK([STREAM, ["event"] * 20_000]),
    "foreign key": PACK(["somebody-elses-key", ["event", "x"]]),
    "key that looks similar": PACK([f"{STREAM}x", ["event", "x"]]),
    "deep": b"\x91" * 100_000,
}


@pytest.mark.parametrize("packed", FOREIGN_RETRIES.values(), ids=FOREIGN_RETRIES)
async def test_a_scheduled_retry_that_cannot_be_read_becomes_a_dead_letter(
    make, server, client, packed, measured
):
    t = await make()
    client.zadd(RETRY, {"x": 1})
    client.hset(ENTRIES, "x", packed)
    await t.publish([b"a"])
    (received,) = await read_all(t, 1)
    await t.settle(received, [Redelivery(0, 1, ())])

    (retry,) = await read_all(t, 1)
    assert b"a" == retry.raw
    assert 0 == client.exists(RETRY, ENTRIES, "somebody-elses-key", f"{STREAM}x")
    with server.client() as raw:
        raw.connection_pool.connection_kwargs["decode_responses"] = False
        ((_, letter),) = raw.xrange(DEAD)
    assert (b"x", packed) == (letter[b"retry"], letter[b"entry"])
    assert b"unreadable" == letter[b"dead.reason"]
    reason = {"evmon.dead_letter.reason": "unreadable"}
    assert 1 == measured.total(i.DEAD_LETTERS, **reason)


async def test_random_scheduled_retries_do_not_stop_a_promotion(make, client):
    t = await make()
    random_bytes = random.Random(1).randbytes
    for n in range(300):
        client.zadd(RETRY, {f"{n}": n})
        client.hset(ENTRIES, f"{n}", random_bytes(n % 30))
    for _ in range(3):
        await t._reader.promote()

    assert 0 == client.zcard(RETRY)
    assert 300 == client.xlen(DEAD) + client.xlen(STREAM)


async def test_a_stream_of_the_wrong_type_does_not_delay_the_retries_of_others(
    make, client
):
    t = await make(streams=("x",), stream_for=lambda kind: kind)
    await t.publish([b"x", b"a"], ["x", "a"])
    for received in await read_all(t, 2):
        await t.settle(received, [Redelivery(0, 1, ())])
    client.delete(STREAM)
    client.set(STREAM, "no stream")
    with pytest.raises(TransportError, match="WRONGTYPE"):
        await t._reader.promote()

    assert 2 == client.xlen(f"{STREAM}:x")
    assert 1 == client.zcard(RETRY) == client.hlen(ENTRIES)
