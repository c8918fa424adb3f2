"""What an earlier version left in Redis is handled, retried, listed, replayed and purged.

``earlier/data.json`` was written by ``earlier/write.py``, with the handlers of
``earlier/shop.py``.
"""

import asyncio
import json
from collections import defaultdict
from pathlib import Path

import pytest
from tests.transports.redis.earlier import shop
from tests.transports.redis.entries import DEAD, ENTRIES, RETRY, STREAM
from tests.waiting import eventually

from evmon import RedisConfig
from evmon._cli.app import main

DATA = json.loads((Path(__file__).parent / "earlier" / "data.json").read_text())
NAMES = "tests.transports.redis.earlier.shop"
SCHEDULE = """
redis.call('ZADD', KEYS[1], 0, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], cmsgpack.pack({ARGV[2], {unpack(ARGV, 3)}}))
"""
FIRST = {"created": 1, "charge": 1}
AFTER_A_REPLAY = {
    "kills-consumers": FIRST,
    "error": {"charge": 1},
    "rejected": {"charge": 1},
    "rejected-in-books": {"Books": 1, "Toys": 1},
    "error-in-toys": {"Books": 1, "Toys": 1},
    "both-differ": FIRST,
    "one-of-each": {"charge": 1},
    "error-in-count": {"count": None},
    "replayed-in-vain": {"charge": 1},
}


def load(client, *parts):
    """Write parts of the data as the earlier version left them; retries are due."""
    for stream in (STREAM, DEAD):
        for entry_id, fields in DATA[stream].items() if stream in parts else ():
            encoded = {
                name: value.encode(errors="surrogateescape")
                for name, value in fields.items()
            }
            client.xadd(stream, encoded, id=entry_id)
    if STREAM in parts:
        position = {
            "id": DATA["last-delivered-id"],
            "entries_read": DATA["entries-read"],
        }
        client.xgroup_create(STREAM, "shop", **position)
        for entry_id, consumer in DATA["pending"].items():
            claim = {"idle": 3_600_000, "retrycount": 1, "force": True, "justid": True}
            client.xclaim(STREAM, "shop", consumer, 0, [entry_id], **claim)
    for retry in DATA[RETRY] if RETRY in parts else ():
        arguments = (retry["member"], retry["stream"], *retry["fields"])
        client.eval(SCHEDULE, 2, RETRY, ENTRIES, *arguments)


async def handle_everything(server, client, until=lambda: True):
    """Run the service; returns the handlers and attempts of each event."""

    def done():
        (group,) = client.xinfo_groups(STREAM)
        waiting = client.zcount(RETRY, "-inf", 1), group["pending"], group["lag"]
        return not any(waiting) and until()

    redis = RedisConfig(lease=0.3)
    async with shop.service(server.url, max_retries=9, redis=redis):
        await eventually(done)
    called = defaultdict(dict)
    for handler, event_id, attempt in shop.calls:
        called[event_id][handler] = attempt
    return dict(called)


@pytest.fixture
def client(server):
    with server.client(encoding_errors="surrogateescape") as client:
        yield client


@pytest.fixture(autouse=True)
def _handlers_that_succeed(monkeypatch):
    monkeypatch.setattr(shop, "failing", False)
    monkeypatch.setattr(shop, "calls", [])


@pytest.fixture
def dlq(server, client, capsys):
    """Runs `evmon dlq` on the dead letters of the data; returns its output."""
    load(client, DEAD)

    def dlq(*arguments):
        where = ("--service", "shop", "--transport", server.url)
        assert 0 == main(["dlq", *arguments, *where])
        return capsys.readouterr().out

    return dlq


async def test_pending_replayed_and_unread_events_are_handled(server, client):
    load(client, STREAM)

    assert {
        "held-by-count-1": {"count": None},
        "held-by-count-2": {"count": None},
        "held-by-created": FIRST,
        "replayed": {"charge": 1},
        "replayed-in-toys": {"Books": 1, "Toys": 1},
        "unread": FIRST,
        "of-another-program": FIRST,
    } == await handle_everything(server, client)
    assert 0 == client.xlen(DEAD)


async def test_scheduled_retries_reach_all_handlers_that_had_the_name(server, client):
    load(client, RETRY)

    assert {
        "later": {"created": 2},
        "later-in-books": {"Books": 2, "Toys": 2},
        "later-in-toys": {"Books": 2, "Toys": 2},
        "later-in-both": {"Books": 2, "Toys": 2},
        "one-of-each": {"created": 3},
    } == await handle_everything(server, client, lambda: len(shop.calls) == 8)
    assert 0 == client.xlen(DEAD)
    assert 0 == client.hlen(ENTRIES)


async def test_a_retry_that_fails_again_is_scheduled_by_the_current_name(
    server, client, monkeypatch
):
    monkeypatch.setattr(shop, "failing", True)
    load(client, RETRY)

    await handle_everything(server, client, lambda: client.zcard(RETRY) == 6)

    scheduled = "".join(client.hvals(ENTRIES))
    assert [2, 2, 2] == [
        scheduled.count(f"{NAMES}.{name}")
        for name in ("Books.bought", "Toys.bought", "Orders.created")
    ]
    assert "Base.bought" not in scheduled


def test_dead_letters_are_listed_and_shown(dlq):
    letters = json.loads(dlq("list", "--json"))

    assert list(DATA[DEAD]) == [letter["id"] for letter in letters]
    assert [fields["dead.reason"] for fields in DATA[DEAD].values()] == [
        letter["reason"] for letter in letters
    ]
    for letter_id, fields in DATA[DEAD].items():
        assert fields["dead.error_message"] in dlq("show", letter_id)


def test_replayed_dead_letters_reach_the_handlers_that_failed(server, client, dlq):
    assert "12 dead letters replayed\n" == dlq("replay")

    assert AFTER_A_REPLAY == asyncio.run(handle_everything(server, client))
    again = [fields["dead.reason"] for _, fields in client.xrange(DEAD)]
    assert ["decode_error", "decode_error", "unknown_type"] == sorted(again)


def test_dead_letters_are_purged_by_reason(dlq, client):
    assert "3 dead letters purged\n" == dlq("purge", "--reason", "rejected", "--yes")
    assert 9 == client.xlen(DEAD)
