"""`evmon dlq` lists, replays and purges dead letters."""

import asyncio
import io
import json
import threading
from types import SimpleNamespace

import pytest

from evmon import Event, EventBus, RedisConfig, Reject, RetryPolicy
from evmon._cli import dlq as dlq_module
from evmon._cli.app import main
from evmon._events import encode, now
from evmon._transports.base import DeadLetter
from evmon._transports.redis import RedisTransport

STREAM = "evmon:{shop}:events"
DEAD = "evmon:{shop}:dead"


def raw(event_type, number=1):
    return encode(
        Event(id=str(number), source="s", type=event_type, time=now(), data=number)
    )


@pytest.fixture
def put(server):
    """Dead-letters events as a consumer does."""

    def put(*letters):
        async def fill():
            transport = RedisTransport(server.url, "shop")
            await transport.open()
            for number, (event_type, reason) in enumerate(letters, 1):
                await transport.publish([raw(event_type, number)])
                (received,) = await transport.read(1, 0.01)
                letter = DeadLetter(
                    *(reason, "builtins.ValueError", f"bad {number}", ("shop.h",)),
                    *(3, event_type, str(number)),
                )
                assert await transport.settle(received, letter, None)
            await transport.close()

        asyncio.run(fill())

    return put


@pytest.fixture
def dlq(server, capsys):
    """Runs `evmon dlq`; returns exit code, output and errors."""

    def dlq(*arguments):
        where = ("--service", "shop", "--transport", server.url)
        code = main(["dlq", *arguments, *where])
        return code, *capsys.readouterr()

    return dlq


def handle(url, function, until, pattern="**"):
    """Run a service until `until()` is true."""

    async def run():
        bus = EventBus(service="shop", transport=url, retry=RetryPolicy(max_retries=0))
        for one in function if isinstance(function, tuple) else (function,):
            bus.add_handler(pattern, one)
        async with bus:
            await pytest.eventually(until)

    asyncio.run(run())


MIXED = [
    ("order.created", "handler_error"),
    ("order.shipped", "rejected"),
    ("user.left", "handler_error"),
]


@pytest.mark.parametrize(
    "arguments",
    [
        ["dlq", "--help"],
        *(["dlq", c, "--help"] for c in ("list", "show", "replay", "purge")),
    ],
)
def test_every_command_has_help(arguments, capsys):
    assert main(arguments) == 0
    assert "Usage: evmon dlq" in capsys.readouterr().out


def test_an_empty_list_is_empty(put, dlq):
    put(("order.created", "rejected"))
    assert dlq("purge", "--yes")[0] == 0

    assert dlq("list", "--json") == (0, "[]\n", "")
    assert dlq("list")[0] == 0


def test_list_prints_dead_letters_oldest_first(dlq, put):
    put(*MIXED)
    code, output, _ = dlq("list")

    assert code == 0
    heading, *rows = output.splitlines()
    assert heading.split()[0] == "ID"
    assert [row.split()[2:5] for row in rows] == [
        ["handler_error", "order.created", "3"],
        ["rejected", "order.shipped", "3"],
        ["handler_error", "user.left", "3"],
    ]


def test_list_as_json_contains_all_recorded_facts(dlq, put, client):
    put(MIXED[0])
    code, output, _ = dlq("list", "--json")

    assert code == 0
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

    assert code == 0
    assert [letter["event_type"] for letter in json.loads(output)] == expected


def test_all_pages_of_dead_letters_are_read(dlq, put, client):
    put(*[("a", "rejected")] * 250, ("b", "rejected"))
    _, output, _ = dlq("list", "--json", "--limit", "1000")
    assert len(json.loads(output)) == 251
    _, output, _ = dlq("list", "--json")
    assert len(json.loads(output)) == 100
    _, output, _ = dlq("list", "--json", "--type", "b")
    assert len(json.loads(output)) == 1


def test_show_prints_the_payload(dlq, put, client):
    put(MIXED[0])
    letter_id = client.xrange(DEAD)[0][0]
    code, output, _ = dlq("show", letter_id)
    assert code == 0
    assert f"id               {letter_id}\n" in output
    assert "reason           handler_error" in output
    assert '"type":"order.created"' in output

    code, output, _ = dlq("show", letter_id, "--json")
    assert code == 0
    shown = json.loads(output)
    assert json.loads(shown["event"])["data"] == 1


@pytest.mark.parametrize("letter_id", ["1-1", "nonsense", "-", "+", "1-1-1", "\x1b[2J"])
def test_an_unknown_dead_letter_is_one_line_and_exit_code_1(dlq, put, letter_id):
    put(MIXED[0])
    code, output, errors = dlq("show", letter_id)

    assert code == 1
    assert output == ""
    assert errors.startswith("evmon: ")
    assert errors.count("\n") == 1
    assert "\x1b" not in errors


def test_control_characters_in_entries_are_not_printed(dlq, server, client):
    client.xadd(STREAM, {b"event": b"\x1b[2Jhello \xff", "x": "\x1b[31m"})
    client.xadd(STREAM, {"event": raw("b")})
    handle(server.url, lambda e: None, lambda: client.xlen(DEAD) == 2, pattern="a")
    for letter in json.loads(dlq("list", "--json")[1]):
        letter_id = letter["id"]
        for arguments in (["list"], ["show", letter_id]):
            code, output, _ = dlq(*arguments)
            assert code == 0
            assert "\x1b" not in output
        for arguments in (["list", "--json"], ["show", letter_id, "--json"]):
            code, output, _ = dlq(*arguments)
            assert code == 0
            json.loads(output)


def test_a_dry_run_replays_nothing(dlq, put, client):
    put(*MIXED)
    assert dlq("replay", "--dry-run") == (0, "3 dead letters would be replayed\n", "")
    code, output, _ = dlq("replay", "--dry-run", "--type", "order.*", "--limit", "1")
    assert (code, output) == (0, "1 dead letters would be replayed\n")

    assert client.xlen(DEAD) == 3
    assert client.xlen(STREAM) == 3


def test_only_selected_dead_letters_are_replayed(dlq, put, client):
    put(*MIXED)
    code, output, _ = dlq("replay", "--reason", "handler_error", "--type", "order.*")

    assert (code, output) == (0, "1 dead letters replayed\n")
    assert [f["dead.event_type"] for _, f in client.xrange(DEAD)] == [
        "order.shipped",
        "user.left",
    ]
    _, fields = client.xrange(STREAM)[-1]
    assert json.loads(fields.pop("event"))["type"] == "order.created"
    assert fields == {"handlers": "shop.h", "group": "shop", "redriven": "1"}


def test_replaying_twice_publishes_no_event_twice(dlq, put, client):
    put(*MIXED)
    assert dlq("replay")[1] == "3 dead letters replayed\n"
    assert dlq("replay")[1] == "0 dead letters replayed\n"

    assert client.xlen(STREAM) == 6
    assert client.xlen(DEAD) == 0


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

    assert client.xlen(STREAM) == 120
    assert client.xlen(DEAD) == 0


def test_replay_keeps_to_the_rate(dlq, put, monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(
        dlq_module, "asyncio", SimpleNamespace(run=asyncio.run, sleep=sleep)
    )
    put(*MIXED)
    assert dlq("replay", "--rate", "4")[0] == 0

    assert slept == [0.25] * 3


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
    assert dlq("replay")[1] == "1 dead letters replayed\n"
    handle(server.url, (fails, works), lambda: client.xlen(DEAD) == 1)
    (letter,) = json.loads(dlq("list", "--json")[1])
    assert letter["redriven"] == "1"
    assert letter["attempts"] == "1"
    assert dlq("replay")[1] == "1 dead letters replayed\n"
    healed.set()
    handle(
        server.url,
        (fails, works),
        lambda: (
            seen.count("fails") == 3 and not client.xpending(STREAM, "shop")["pending"]
        ),
    )

    assert seen.count("works") == 1
    assert client.xlen(DEAD) == 0


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

    assert outcome == ["20 dead letters replayed\n"]
    assert client.xlen(STREAM) == 40


def test_a_dead_letter_is_replayed_to_its_own_stream(dlq, server, client):
    async def fill():
        config = RedisConfig(streams=("x",), stream_for=lambda kind: "x")
        transport = RedisTransport(server.url, "shop", config=config)
        await transport.open()
        await transport.publish([raw("a")], ["a"])
        (received,) = await transport.read(10, 0.01)
        await transport.settle(received, DeadLetter("rejected", event_type="a"), None)
        await transport.close()

    asyncio.run(fill())
    assert dlq("replay")[1] == "1 dead letters replayed\n"

    assert client.xlen(f"{STREAM}:x") == 2
    assert client.xlen(STREAM) == 0


def test_a_dead_letter_that_names_a_foreign_key_is_replayed_to_the_stream_of_the_service(
    dlq, client
):
    client.xadd(DEAD, {"event": raw("a"), "dead.stream": "somebody-elses-key"})
    assert dlq("replay")[1] == "1 dead letters replayed\n"

    assert client.xlen(STREAM) == 1
    assert client.exists("somebody-elses-key") == 0


@pytest.mark.parametrize("count", [200, 3490, 20_000])
def test_a_foreign_entry_with_too_many_fields_does_not_stop_a_replay(
    dlq, put, server, client, count
):
    client.xadd(STREAM, {f"f{n}": "v" for n in range(count)})
    handle(server.url, lambda e: None, lambda: client.xlen(DEAD) == 1)
    put(("a", "rejected"))
    code, output, errors = dlq("replay")
    if count < 3500:
        assert (code, output, errors) == (0, "2 dead letters replayed\n", "")
    else:
        assert (code, output) == (1, "1 dead letters replayed\n")
        assert errors == "evmon: 1 have too many fields to be replayed\n"

    left = [letter["event_type"] for letter in json.loads(dlq("list", "--json")[1])]
    assert "a" not in left
    assert client.xlen(STREAM) + client.xlen(DEAD) == 4


def test_purge_deletes_only_selected_dead_letters(dlq, put, client):
    put(*MIXED)
    code, output, _ = dlq("purge", "--yes", "--type", "order.*")

    assert (code, output) == (0, "2 dead letters purged\n")
    assert [f["dead.event_type"] for _, f in client.xrange(DEAD)] == ["user.left"]


def test_a_dry_run_purges_nothing(dlq, put, client):
    put(*MIXED)
    code, output, _ = dlq("purge", "--dry-run", "--yes", "--reason", "rejected")

    assert (code, output) == (0, "1 dead letters would be purged\n")
    assert client.xlen(DEAD) == 3


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 3), ("", 3)])
def test_purge_asks_for_confirmation(dlq, put, client, monkeypatch, answer, left):
    put(*MIXED)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    code, output, errors = dlq("purge")

    assert "Delete 3 dead letters of shop?" in output + errors
    assert code == (0 if not left else 130)
    assert client.xlen(DEAD) == left


@pytest.mark.parametrize("command", ["list", "show 1-1", "replay", "purge --yes"])
def test_an_unreachable_server_is_reported_in_one_line(command, capsys):
    url = "redis://user:hunter2@127.0.0.1:1/0"
    assert main(["dlq", *command.split(), "--transport", url]) == 1
    output, errors = capsys.readouterr()

    assert output == ""
    assert errors.startswith("evmon: ")
    assert errors.count("\n") == 1
    assert "hunter2" not in errors


@pytest.mark.parametrize(
    "url", ["memory://", "redys://u:hunter2@h", "redis://u:hunter2@h/x", "redis://[::"]
)
def test_an_invalid_transport_is_reported_in_one_line(url, capsys):
    assert main(["dlq", "list", "--transport", url]) == 1
    errors = capsys.readouterr().err

    assert errors.startswith("evmon: ")
    assert errors.count("\n") == 1
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
    assert main(["dlq", *arguments]) == 2
    errors = capsys.readouterr().err

    assert errors.count("\n") == 1
    assert "--help" in errors


def test_transport_and_service_come_from_the_environment(
    put, server, monkeypatch, capsys
):
    put(*MIXED)
    monkeypatch.setenv("EVMON_SERVICE", "shop")
    monkeypatch.setenv("EVMON_TRANSPORT", server.url)
    assert main(["dlq", "list", "--json"]) == 0

    assert len(json.loads(capsys.readouterr().out)) == 3


def test_a_password_comes_from_the_environment(own_server, monkeypatch, capsys):
    server = own_server("--requirepass", "hunter2")
    monkeypatch.setenv("EVMON_REDIS_PASSWORD", "hunter2")
    assert main(["dlq", "list", "--transport", server.url]) == 1
    assert "no stream or dead letters for service" in capsys.readouterr().err


def test_an_unknown_service_is_reported(server, capsys):
    code = main(["dlq", "list", "--service", "shpo", "--transport", server.url])

    assert (code, capsys.readouterr().err) == (
        1,
        "evmon: no stream or dead letters for service 'shpo' here; check --service\n",
    )


def test_dead_letters_are_replayed_by_id(dlq, put, client):
    put(*MIXED)
    first, second, third = (
        letter["id"] for letter in json.loads(dlq("list", "--json")[1])
    )
    assert dlq("replay", third, first) == (0, "2 dead letters replayed\n", "")

    code, output, errors = dlq("replay", first, second)
    assert (code, output) == (1, "1 dead letters replayed\n")
    assert errors == f"evmon: no dead letter {first}\n"
    assert client.xlen(DEAD) == 0


def test_dead_letters_that_arrive_during_confirmation_are_not_purged(
    dlq, put, client, monkeypatch
):
    put(*MIXED)

    def confirm(*_, **__):
        put(("late", "rejected"))

    monkeypatch.setattr(dlq_module.click, "confirm", confirm)
    assert dlq("purge")[1] == "3 dead letters purged\n"
    assert client.xlen(DEAD) == 1
