"""`evmon dlq` lists and shows dead letters, and reports errors in one line."""

import json
import time

import pytest
from tests.cli.dead_letters import DEAD, MIXED, STREAM, handle, raw

from evmon._cli.app import main


@pytest.mark.parametrize(
    "arguments",
    [
        ["dlq", "--help"],
        *(["dlq", c, "--help"] for c in ("list", "show", "replay", "purge")),
    ],
)
def test_every_command_has_help(arguments, capsys):
    assert 0 == main(arguments)
    assert "Usage: evmon dlq" in capsys.readouterr().out


def test_an_empty_list_is_empty(put, dlq):
    put(("order.created", "rejected"))
    assert 0 == dlq("purge", "--yes")[0]

    assert (0, "[]\n", "") == dlq("list", "--json")
    assert 0 == dlq("list")[0]


def test_list_prints_dead_letters_oldest_first(dlq, put):
    put(*MIXED)
    code, output, _ = dlq("list")

    assert 0 == code
    heading, *rows = output.splitlines()
    assert "ID" == heading.split()[0]
    assert [
        ["handler_error", "order.created", "3"],
        ["rejected", "order.shipped", "3"],
        ["handler_error", "user.left", "3"],
    ] == [row.split()[2:5] for row in rows]


def test_list_as_json_contains_all_recorded_facts(dlq, put, client):
    put(MIXED[0])
    code, output, _ = dlq("list", "--json")

    assert 0 == code
    (letter,) = json.loads(output)
    assert letter["id"] == client.xrange(DEAD)[0][0]
    assert {
        "reason": "handler_error",
        "event_type": "order.created",
        "event_id": "1",
        "error_type": "builtins.ValueError",
        "error_message": "bad 1",
        "handlers": ["shop.h"],
        "attempts": "3",
        "redriven": "0",
        "stream": STREAM,
        "group": "shop",
        "entry_id": client.xrange(STREAM)[0][0],
    }.items() <= letter.items()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--type", "order.created"], ["order.created"]),
        (["--type", "order.*"], ["order.created", "order.shipped"]),
        (["--type", "**"], ["order.created", "order.shipped", "user.left"]),
        (["--reason", "handler_error"], ["order.created", "user.left"]),
        (["--type", "order.*", "--reason", "rejected"], ["order.shipped"]),
        (["--limit", "1"], ["order.created"]),
        (["--type", "user.*", "--limit", "1"], ["user.left"]),
        (["--type", "nothing"], []),
    ],
)
def test_dead_letters_are_filtered_by_type_and_reason(dlq, put, arguments, expected):
    put(*MIXED)
    code, output, _ = dlq("list", "--json", *arguments)

    assert 0 == code
    assert [letter["event_type"] for letter in json.loads(output)] == expected


def test_all_pages_of_dead_letters_are_read(dlq, put, client):
    put(*[("a", "rejected")] * 250, ("b", "rejected"))
    _, output, _ = dlq("list", "--json", "--limit", "1000")
    assert 251 == len(json.loads(output))
    _, output, _ = dlq("list", "--json")
    assert 100 == len(json.loads(output))
    _, output, _ = dlq("list", "--json", "--type", "b")
    assert 1 == len(json.loads(output))


def test_show_prints_the_payload(dlq, put, client):
    put(MIXED[0])
    letter_id = client.xrange(DEAD)[0][0]
    code, output, _ = dlq("show", letter_id)
    assert 0 == code
    assert f"id               {letter_id}\n" in output
    assert "reason           handler_error" in output
    assert '"type":"order.created"' in output

    code, output, _ = dlq("show", letter_id, "--json")
    assert 0 == code
    shown = json.loads(output)
    assert 1 == json.loads(shown["event"])["data"]


@pytest.mark.parametrize("letter_id", ["1-1", "nonsense", "-", "+", "1-1-1", "\x1b[2J"])
def test_an_unknown_dead_letter_is_one_line_and_exit_code_1(dlq, put, letter_id):
    put(MIXED[0])
    code, output, errors = dlq("show", letter_id)

    assert 1 == code
    assert "" == output
    assert errors.startswith("evmon: ")
    assert 1 == errors.count("\n")
    assert "\x1b" not in errors


@pytest.mark.parametrize(
    "letter_id",
    [
        "nope",
        "-",
        "1",
        "1-1-1",
        "(1-0",
        "\u0661-0",
        "99999999999999999999-0",
        "\x1b[2J",
    ],
)
@pytest.mark.parametrize("command", ["show", "replay"])
def test_what_is_no_id_is_told_from_an_unknown_one(dlq, put, command, letter_id):
    put(MIXED[0])
    code, output, errors = dlq(command, letter_id)

    assert (1, "") == (code, output)
    assert "not the id of a dead letter, which looks like 1700000000000-0" in errors
    assert 1 == errors.count("\n")


@pytest.mark.parametrize("command", ["list", "replay", "purge"])
@pytest.mark.parametrize("pattern", ["", "order..x", "**.order", "a\nb"])
def test_an_invalid_pattern_is_one_line(dlq, put, command, pattern):
    put(MIXED[0])
    code, output, errors = dlq(command, "--type", pattern)

    assert (1, "") == (code, output)
    assert errors.startswith("evmon: ")
    assert 1 == errors.count("\n")


def test_control_characters_in_entries_are_not_printed(dlq, server, client):
    client.xadd(STREAM, {b"event": b"\x1b[2Jhello \xff", "x": "\x1b[31m"})
    client.xadd(STREAM, {"event": raw("b")})
    handle(server.url, lambda e: None, lambda: client.xlen(DEAD) == 2, pattern="a")
    for letter in json.loads(dlq("list", "--json")[1]):
        letter_id = letter["id"]
        for arguments in (["list"], ["show", letter_id]):
            code, output, _ = dlq(*arguments)
            assert 0 == code
            assert "\x1b" not in output
        for arguments in (["list", "--json"], ["show", letter_id, "--json"]):
            code, output, _ = dlq(*arguments)
            assert 0 == code
            json.loads(output)


def test_an_entry_with_a_reserved_field_name_does_not_stop_a_command(
    dlq, server, client
):
    client.xadd(STREAM, {"packed": "hello"})
    handle(server.url, lambda e: None, lambda: client.xlen(DEAD) == 1)
    code, output, _ = dlq("list", "--json")
    assert 0 == code
    (letter,) = json.loads(output)
    assert "decode_error" == letter["reason"]
    assert (0, "1 dead letters replayed\n", "") == dlq("replay")
    assert {"packed": "hello"}.items() <= client.xrange(STREAM)[-1][1].items()


def test_what_evmon_did_not_write_is_shown_raw_replayed_and_purged(dlq, put, client):
    first = client.xadd(DEAD, {"packed": b"he\x1bllo\xff"})
    put(MIXED[0])
    client.xadd(DEAD, {"dead.redriven": "9" * 5000, "event": raw("a")})
    assert [first, "unreadable"] == dlq("list")[1].splitlines()[1].split()
    assert "reason           unreadable" in dlq("show", first)[1]
    code, output, _ = dlq("show", first, "--raw")
    assert (0, "'packed' 'he\\x1bllo\\xff'\n") == (code, output)

    assert (0, "1 dead letters replayed\n", "") == dlq("replay", first)
    assert 2 == client.xlen(STREAM)
    code, output, _ = dlq("purge", "--yes", "--reason", "unreadable")
    assert (0, "1 dead letters purged\n") == (code, output)
    assert 1 == client.xlen(DEAD)


@pytest.mark.parametrize("command", ["list", "show 1-1", "replay", "purge --yes"])
def test_an_unreachable_server_is_reported_in_one_line(command, capsys):
    url = "redis://user:hunter2@127.0.0.1:1/0"
    assert 1 == main(["dlq", *command.split(), "--transport", url])
    output, errors = capsys.readouterr()

    assert "" == output
    assert errors.startswith("evmon: ")
    assert 1 == errors.count("\n")
    assert "hunter2" not in errors


@pytest.mark.parametrize(
    "url", ["memory://", "redys://u:hunter2@h", "redis://u:hunter2@h/x", "redis://[::"]
)
def test_an_invalid_transport_is_reported_in_one_line(url, capsys):
    assert 1 == main(["dlq", "list", "--transport", url])
    errors = capsys.readouterr().err

    assert errors.startswith("evmon: ")
    assert 1 == errors.count("\n")
    assert "hunter2" not in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--reason", "bad_luck"],
        ["list", "--limit", "0"],
        ["replay", "--rate", "0"],
        ["replay", "--rate", "-1"],
        ["replay", "--limit", "0"],
        ["show"],
        ["dance"],
    ],
)
def test_wrong_usage_is_one_line_that_names_help(arguments, capsys):
    assert 2 == main(["dlq", *arguments])
    errors = capsys.readouterr().err

    assert 1 == errors.count("\n")
    assert "--help" in errors


def test_transport_and_service_come_from_the_environment(
    put, server, monkeypatch, capsys
):
    put(*MIXED)
    monkeypatch.setenv("EVMON_SERVICE", "shop")
    monkeypatch.setenv("EVMON_TRANSPORT", server.url)
    assert 0 == main(["dlq", "list", "--json"])

    assert 3 == len(json.loads(capsys.readouterr().out))


def test_a_password_comes_from_the_environment(own_server, monkeypatch, capsys):
    server = own_server("--requirepass", "hunter2")
    monkeypatch.setenv("EVMON_REDIS_PASSWORD", "hunter2")
    assert 1 == main(["dlq", "list", "--transport", server.url])
    assert "no stream or dead letters for service" in capsys.readouterr().err


def test_an_unknown_service_is_reported(server, capsys):
    code = main(["dlq", "list", "--service", "shpo", "--transport", server.url])

    assert (
        1,
        "evmon: no stream or dead letters for service 'shpo' here; check --service\n",
    ) == (code, capsys.readouterr().err)


@pytest.mark.parametrize("command", ["list", "show 1-1", "replay", "purge --yes"])
def test_a_key_of_the_wrong_type_is_named_in_one_line(dlq, client, command):
    client.set(DEAD, "no stream")
    code, output, errors = dlq(*command.split())

    assert (1, "") == (code, output)
    assert (
        f"evmon: WRONGTYPE {DEAD} holds a string, not a stream; look at it:"
        f" redis-cli GET '{DEAD}'\n"
    ) == errors


def store(client, count):
    """Store dead letters as evmon does."""
    pipe = client.pipeline(transaction=False)
    for n in range(count):
        fields = {"event": raw("a"), "dead.reason": "rejected", "dead.stream": STREAM}
        pipe.xadd(DEAD, {**fields, "dead.error_message": f"no {n}"})
        if n % 1000 == 999:
            pipe.execute()
    pipe.execute()


def test_a_list_of_several_pages_has_one_heading(dlq, client):
    store(client, 250)
    _, output, _ = dlq("list", "--limit", "1000")

    heading, *rows = output.splitlines()
    assert "ID" == heading.split()[0]
    assert [f"no {n}" for n in range(250)] == [row[-6:].strip() for row in rows]


def test_a_replay_moves_a_page_in_one_round_trip(dlq, client):
    store(client, 250)
    before = calls(client)
    assert (0, "250 dead letters replayed\n", "") == dlq("replay", "--rate", "10000")

    assert 250 == client.xlen(STREAM)
    assert 0 == client.xlen(DEAD)
    assert 4 >= calls(client) - before  # three pages, one of them with the script


def calls(client):
    stats = client.info("commandstats")
    return sum(
        stats.get(f"cmdstat_{c}", {"calls": 0})["calls"] for c in ("eval", "evalsha")
    )


@pytest.mark.slow
@pytest.mark.serial
def test_50_000_dead_letters_are_listed_and_replayed_in_seconds(dlq, client):
    store(client, 50_000)
    started = time.monotonic()
    assert 50_001 == dlq("list", "--limit", "50000")[1].count("\n")
    assert 50_000 == len(json.loads(dlq("list", "--json", "--limit", "50000")[1]))
    listed = time.monotonic() - started
    started = time.monotonic()
    assert 0 == dlq("replay", "--rate", "1000000")[0]

    assert 50_000 == client.xlen(STREAM)
    assert 60 > listed
    assert 40 > time.monotonic() - started
