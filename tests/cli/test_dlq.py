"""`evmon dlq`: dead letters are seen, replayed once, and deleted only when meant."""

import asyncio
import io
import json
import threading
from types import SimpleNamespace

import pytest
from tests.waiting import eventually

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
    """Puts dead letters aside as a consumer does."""

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
    """Runs the command; returns exit code, output and errors."""

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
            await eventually(until)

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
    assert 0 == main(arguments)
    assert "Usage: evmon dlq" in capsys.readouterr().out


def test_an_empty_list_is_empty(put, dlq):
    put(("order.created", "rejected"))
    assert 0 == dlq("purge", "--yes")[0]

    assert (0, "[]\n", "") == dlq("list", "--json")
    assert 0 == dlq("list")[0]


def test_the_list_shows_each_letter_the_oldest_first(dlq, put):
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


def test_the_list_as_json_tells_all_facts(dlq, put, client):
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
def test_letters_are_chosen_by_type_and_reason(dlq, put, arguments, expected):
    put(*MIXED)
    code, output, _ = dlq("list", "--json", *arguments)

    assert 0 == code
    assert [letter["event_type"] for letter in json.loads(output)] == expected


def test_more_letters_than_fit_a_page_are_all_found(dlq, put, client):
    put(*[("a", "rejected")] * 250, ("b", "rejected"))
    _, output, _ = dlq("list", "--json", "--limit", "1000")
    assert 251 == len(json.loads(output))
    _, output, _ = dlq("list", "--json")
    assert 100 == len(json.loads(output))
    _, output, _ = dlq("list", "--json", "--type", "b")
    assert 1 == len(json.loads(output))


def test_show_tells_the_payload(dlq, put, client):
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
def test_an_unknown_letter_is_one_line_and_exit_code_1(dlq, put, letter_id):
    put(MIXED[0])
    code, output, errors = dlq("show", letter_id)

    assert 1 == code
    assert "" == output
    assert errors.startswith("evmon: ")
    assert 1 == errors.count("\n")
    assert "\x1b" not in errors


def test_what_strangers_wrote_cannot_steer_the_terminal(dlq, server, client):
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


def test_a_dry_run_replays_nothing(dlq, put, client):
    put(*MIXED)
    assert (0, "3 dead letters would be replayed\n", "") == dlq("replay", "--dry-run")
    code, output, _ = dlq("replay", "--dry-run", "--type", "order.*", "--limit", "1")
    assert (0, "1 dead letters would be replayed\n") == (code, output)

    assert 3 == client.xlen(DEAD)
    assert 3 == client.xlen(STREAM)


def test_only_what_was_chosen_is_replayed(dlq, put, client):
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


def test_replaying_twice_doubles_nothing(dlq, put, client):
    put(*MIXED)
    assert "3 dead letters replayed\n" == dlq("replay")[1]
    assert "0 dead letters replayed\n" == dlq("replay")[1]

    assert 6 == client.xlen(STREAM)
    assert 0 == client.xlen(DEAD)


def test_two_replays_at_once_double_nothing(server, put, client):
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


def test_the_rate_is_kept(dlq, put, monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(
        dlq_module, "asyncio", SimpleNamespace(run=asyncio.run, sleep=sleep)
    )
    put(*MIXED)
    assert 0 == dlq("replay", "--rate", "4")[0]

    assert [0.25] * 3 == slept


def test_a_replayed_event_is_handled_by_who_gave_it_up_alone(dlq, server, client):
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


def test_what_fails_again_while_it_is_replayed_is_not_replayed_for_ever(
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


def test_a_letter_returns_to_its_own_stream(dlq, server, client):
    async def fill():
        config = RedisConfig(streams=("x",), stream_for=lambda kind: "x")
        transport = RedisTransport(server.url, "shop", config=config)
        await transport.open()
        await transport.publish([raw("a")], ["a"])
        (received,) = await transport.read(10, 0.01)
        await transport.settle(received, DeadLetter("rejected", event_type="a"), None)
        await transport.close()

    asyncio.run(fill())
    assert "1 dead letters replayed\n" == dlq("replay")[1]

    assert 2 == client.xlen(f"{STREAM}:x")
    assert 0 == client.xlen(STREAM)


def test_a_letter_that_names_another_key_returns_to_the_service_s_stream(dlq, client):
    client.xadd(DEAD, {"event": raw("a"), "dead.stream": "somebody-elses-key"})
    assert "1 dead letters replayed\n" == dlq("replay")[1]

    assert 1 == client.xlen(STREAM)
    assert 0 == client.exists("somebody-elses-key")


@pytest.mark.parametrize("count", [200, 3490, 20_000])
def test_an_entry_of_a_stranger_holds_no_replay_up(dlq, put, server, client, count):
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


def test_purge_deletes_only_what_is_chosen(dlq, put, client):
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
def test_purge_asks_first(dlq, put, client, monkeypatch, answer, left):
    put(*MIXED)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    code, output, errors = dlq("purge")

    assert "Delete 3 dead letters of shop?" in output + errors
    assert code == (0 if not left else 130)
    assert client.xlen(DEAD) == left


@pytest.mark.parametrize("command", ["list", "show 1-1", "replay", "purge --yes"])
def test_a_server_that_is_not_there_is_one_line(command, capsys):
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
def test_a_wrong_transport_is_one_line(url, capsys):
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
def test_wrong_usage_is_one_line_with_the_way_out(arguments, capsys):
    assert 2 == main(["dlq", *arguments])
    errors = capsys.readouterr().err

    assert 1 == errors.count("\n")
    assert "--help" in errors


def test_the_environment_says_where_and_who(put, server, monkeypatch, capsys):
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


def test_a_service_that_was_never_here_is_told(server, capsys):
    code = main(["dlq", "list", "--service", "shpo", "--transport", server.url])

    assert (
        1,
        "evmon: no stream or dead letters for service 'shpo' here; check --service\n",
    ) == (code, capsys.readouterr().err)


def test_single_letters_are_replayed_by_their_ids(dlq, put, client):
    put(*MIXED)
    first, second, third = (
        letter["id"] for letter in json.loads(dlq("list", "--json")[1])
    )
    assert (0, "2 dead letters replayed\n", "") == dlq("replay", third, first)

    code, output, errors = dlq("replay", first, second)
    assert (1, "1 dead letters replayed\n") == (code, output)
    assert f"evmon: no dead letter {first}\n" == errors
    assert 0 == client.xlen(DEAD)


def test_what_dies_while_somebody_is_asked_is_not_purged(dlq, put, client, monkeypatch):
    put(*MIXED)

    def confirm(*_, **__):
        put(("late", "rejected"))

    monkeypatch.setattr(dlq_module.click, "confirm", confirm)
    assert "3 dead letters purged\n" == dlq("purge")[1]
    assert 1 == client.xlen(DEAD)
