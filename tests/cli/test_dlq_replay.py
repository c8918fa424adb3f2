"""`evmon dlq` replays and purges the selected dead letters."""

import asyncio
import io
import json
import threading
from types import SimpleNamespace

import pytest
from tests.cli.dead_letters import DEAD, MIXED, STREAM, handle, raw

from evmon import Event, RedisConfig, Reject
from evmon._cli import dlq as dlq_module
from evmon._cli.app import main
from evmon._transports.base import DeadLetter
from evmon._transports.redis import RedisTransport


def test_a_dry_run_replays_nothing(dlq, put, client):
    put(*MIXED)
    assert (0, "3 dead letters would be replayed\n", "") == dlq("replay", "--dry-run")
    code, output, _ = dlq("replay", "--dry-run", "--type", "order.*", "--limit", "1")
    assert (0, "1 dead letters would be replayed\n") == (code, output)

    assert 3 == client.xlen(DEAD)
    assert 3 == client.xlen(STREAM)


def test_only_selected_dead_letters_are_replayed(dlq, put, client):
    put(*MIXED)
    code, output, _ = dlq("replay", "--reason", "handler_error", "--type", "order.*")

    assert (0, "1 dead letters replayed\n") == (code, output)
    assert [
        "order.shipped",
        "user.left",
    ] == [f["dead.event_type"] for _, f in client.xrange(DEAD)]
    _, fields = client.xrange(STREAM)[-1]
    assert "order.created" == json.loads(fields.pop("event"))["type"]
    assert {"handlers": "shop.h", "group": "shop", "redriven": "1"} == fields


def test_replaying_twice_publishes_no_event_twice(dlq, put, client):
    put(*MIXED)
    assert "3 dead letters replayed\n" == dlq("replay")[1]
    assert "0 dead letters replayed\n" == dlq("replay")[1]

    assert 6 == client.xlen(STREAM)
    assert 0 == client.xlen(DEAD)


def test_concurrent_replays_publish_no_event_twice(server, put, client):
    put(*[("a", "rejected")] * 60)
    where = ["--service", "shop", "--transport", server.url, "--rate", "10000"]
    threads = [
        threading.Thread(target=main, args=(["dlq", "replay", *where],))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 120 == client.xlen(STREAM)
    assert 0 == client.xlen(DEAD)


def test_replay_keeps_to_the_rate(dlq, put, monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(
        dlq_module, "asyncio", SimpleNamespace(run=asyncio.run, sleep=sleep)
    )
    put(*MIXED)
    assert 0 == dlq("replay", "--rate", "4")[0]

    assert [0.25] * 3 == slept


def test_a_replayed_event_is_handled_only_by_the_handlers_that_failed(
    dlq, server, client
):
    seen, healed = [], threading.Event()

    async def fails(event: Event) -> None:
        seen.append("fails")
        if not healed.is_set():
            raise Reject("not yet")

    async def works(event: Event) -> None:
        seen.append("works")

    client.xadd(STREAM, {"event": raw("a")})
    handle(server.url, (fails, works), lambda: client.xlen(DEAD) == 1)
    assert "1 dead letters replayed\n" == dlq("replay")[1]
    handle(server.url, (fails, works), lambda: client.xlen(DEAD) == 1)
    (letter,) = json.loads(dlq("list", "--json")[1])
    assert "1" == letter["redriven"]
    assert "1" == letter["attempts"]
    assert "1 dead letters replayed\n" == dlq("replay")[1]
    healed.set()
    handle(
        server.url,
        (fails, works),
        lambda: (
            seen.count("fails") == 3 and not client.xpending(STREAM, "shop")["pending"]
        ),
    )

    assert 1 == seen.count("works")
    assert 0 == client.xlen(DEAD)


def test_filters_replay_and_purge_apply_to_each_handler_that_failed(
    dlq, server, client
):
    seen, healed = [], threading.Event()

    async def rejects(event: Event) -> None:
        seen.append("rejects")
        raise Reject("no")

    async def fails(event: Event) -> None:
        seen.append("fails")
        if not healed.is_set():
            raise KeyError("street")

    client.xadd(STREAM, {"event": raw("a")})
    handle(server.url, (rejects, fails), lambda: client.xlen(DEAD) == 2)
    for reason, error in (("rejected", "no"), ("handler_error", "'street'")):
        (letter,) = json.loads(dlq("list", "--json", "--reason", reason)[1])
        assert error == letter["error_message"]
        assert 1 == len(letter["handlers"])

    assert "1 dead letters purged\n" == dlq("purge", "--reason", "rejected", "--yes")[1]
    assert "1 dead letters replayed\n" == dlq("replay")[1]
    healed.set()
    before = len(seen)
    handle(server.url, (rejects, fails), lambda: len(seen) > before)
    assert ["fails"] == seen[before:]
    assert 0 == client.xlen(DEAD)


def test_events_that_fail_again_during_a_replay_are_replayed_once(
    dlq, put, server, client
):
    calls = []

    async def fail(event: Event) -> None:
        calls.append(event)
        raise Reject("no")

    fail.__qualname__, fail.__module__ = "h", "shop"
    put(*[("a", "rejected")] * 20)
    replayed = threading.Event()
    outcome = []

    def replay():
        outcome.append(dlq("replay", "--rate", "200")[1])
        replayed.set()

    thread = threading.Thread(target=replay)
    thread.start()
    handle(server.url, fail, lambda: replayed.is_set() and client.xlen(DEAD) == 20)
    thread.join()

    assert ["20 dead letters replayed\n"] == outcome
    assert 40 == client.xlen(STREAM)


def test_a_dead_letter_is_replayed_to_its_own_stream(dlq, server, client):
    async def fill():
        config = RedisConfig(streams=("x",), stream_for=lambda kind: "x")
        transport = RedisTransport(server.url, "shop", config=config)
        await transport.open()
        await transport.publish([raw("a")], ["a"])
        (received,) = await transport.read(10, 0.01)
        await transport.settle(received, [DeadLetter("rejected", event_type="a")])
        await transport.close()

    asyncio.run(fill())
    assert "1 dead letters replayed\n" == dlq("replay")[1]

    assert 2 == client.xlen(f"{STREAM}:x")
    assert 0 == client.xlen(STREAM)


def test_a_dead_letter_that_names_a_foreign_key_is_replayed_to_the_stream_of_the_service(
    dlq, client
):
    client.xadd(DEAD, {"event": raw("a"), "dead.stream": "somebody-elses-key"})
    assert "1 dead letters replayed\n" == dlq("replay")[1]

    assert 1 == client.xlen(STREAM)
    assert 0 == client.exists("somebody-elses-key")


@pytest.mark.parametrize("count", [200, 3490, 20_000])
def test_a_foreign_entry_with_too_many_fields_does_not_stop_a_replay(
    dlq, put, server, client, count
):
    client.xadd(STREAM, {f"f{n}": "v" for n in range(count)})
    handle(server.url, lambda e: None, lambda: client.xlen(DEAD) == 1)
    put(("a", "rejected"))
    code, output, errors = dlq("replay")
    if count < 3500:
        assert (0, "2 dead letters replayed\n", "") == (code, output, errors)
    else:
        assert (1, "1 dead letters replayed\n") == (code, output)
        assert "evmon: 1 have too many fields to be replayed\n" == errors

    left = [letter["event_type"] for letter in json.loads(dlq("list", "--json")[1])]
    assert "a" not in left
    assert 4 == client.xlen(STREAM) + client.xlen(DEAD)


def test_purge_deletes_only_selected_dead_letters(dlq, put, client):
    put(*MIXED)
    code, output, _ = dlq("purge", "--yes", "--type", "order.*")

    assert (0, "2 dead letters purged\n") == (code, output)
    assert ["user.left"] == [f["dead.event_type"] for _, f in client.xrange(DEAD)]


def test_a_dry_run_purges_nothing(dlq, put, client):
    put(*MIXED)
    code, output, _ = dlq("purge", "--dry-run", "--yes", "--reason", "rejected")

    assert (0, "1 dead letters would be purged\n") == (code, output)
    assert 3 == client.xlen(DEAD)


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 3), ("", 3)])
def test_purge_asks_for_confirmation(dlq, put, client, monkeypatch, answer, left):
    put(*MIXED)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    code, output, errors = dlq("purge")

    assert "Delete 3 dead letters of shop?" in output + errors
    assert code == (0 if not left else 130)
    assert client.xlen(DEAD) == left


def test_dead_letters_are_replayed_by_id(dlq, put, client):
    put(*MIXED)
    first, second, third = (
        letter["id"] for letter in json.loads(dlq("list", "--json")[1])
    )
    assert (0, "2 dead letters replayed\n", "") == dlq("replay", third, first)

    code, output, errors = dlq("replay", first, second)
    assert (1, "1 dead letters replayed\n") == (code, output)
    assert f"evmon: no dead letter {first}\n" == errors
    assert 0 == client.xlen(DEAD)


def test_dead_letters_that_arrive_during_confirmation_are_not_purged(
    dlq, put, client, monkeypatch
):
    put(*MIXED)

    def confirm(*_, **__):
        put(("late", "rejected"))

    monkeypatch.setattr(dlq_module.click, "confirm", confirm)
    assert "3 dead letters purged\n" == dlq("purge")[1]
    assert 1 == client.xlen(DEAD)


def test_a_stream_of_the_wrong_type_stops_no_other_replay(dlq, client):
    wrong = f"{STREAM}:big"
    client.set(wrong, "x")
    for stream in (wrong, STREAM, wrong, STREAM):
        client.xadd(DEAD, {"event": raw("a"), "dead.stream": stream})
    code, output, errors = dlq("replay")

    assert (1, "2 dead letters replayed\n") == (code, output)
    assert errors.startswith(
        f"evmon: 2 could not be replayed: WRONGTYPE {wrong} holds a string, not a stream"
    )
    assert 1 == errors.count("\n")
    assert [wrong, wrong] == [f["dead.stream"] for _, f in client.xrange(DEAD)]
    client.delete(wrong)
    assert (0, "2 dead letters replayed\n", "") == dlq("replay")


@pytest.fixture
def two_groups(client):
    """Dead letters of two consumer groups, and one of no group."""
    for group in ("shop", "billing", "shop"):
        client.xadd(
            DEAD, {"event": raw("a"), "dead.group": group, "dead.reason": "rejected"}
        )
    client.xadd(DEAD, {"event": raw("a")})


def groups_left(client):
    return [fields.get("dead.group", "") for _, fields in client.xrange(DEAD)]


@pytest.mark.usefixtures("two_groups")
def test_a_purge_of_one_group_leaves_the_dead_letters_of_others(dlq, client):
    code, output, _ = dlq("purge", "--group", "shop", "--yes")

    assert (0, "2 dead letters purged\n") == (code, output)
    assert ["billing", ""] == groups_left(client)


@pytest.mark.usefixtures("two_groups")
def test_a_replay_of_one_group_leaves_the_dead_letters_of_others(dlq, client):
    foreign = client.xrange(DEAD)[0][0]
    code, output, _ = dlq("replay", foreign, "--group", "billing")
    assert (1, "0 dead letters replayed\n") == (code, output)
    assert (0, "1 dead letters replayed\n", "") == dlq("replay", "--group", "billing")

    assert ["shop", "shop", ""] == groups_left(client)


@pytest.mark.usefixtures("two_groups")
def test_list_has_a_column_for_several_groups(dlq):
    heading, *rows = dlq("list")[1].splitlines()
    assert ["ID", "GROUP", "REASON"] == [heading.split()[i] for i in (0, 4, 5)]
    assert ["shop", "billing", "shop", "unreadable"] == [r.split()[1] for r in rows]

    heading, *rows = dlq("list", "--group", "billing")[1].splitlines()
    assert "GROUP" not in heading
    assert 1 == len(rows)


@pytest.mark.usefixtures("two_groups")
def test_all_groups_are_the_default(dlq, client):
    assert "4 dead letters purged\n" == dlq("purge", "--yes")[1]

    assert 0 == client.xlen(DEAD)
