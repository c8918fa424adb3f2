"""`evmon check --redis` names what a service will miss on a server."""

import json

import pytest

from evmon._cli.app import main
from evmon._transports.redis.permissions import acl_rules


@pytest.fixture
def check(own_server, capsys):
    """Checks a server with a user who has the needed permissions, less some."""

    def check(*less, options=()):
        server = own_server()
        rules = [rule for rule in acl_rules("shop") if rule not in less]
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "app", "on", ">secret", *rules)
        url = f"redis://app:secret@127.0.0.1:{server.port}/0"
        code = main(["check", "--redis", url, "--service", "shop", *options])
        return code, capsys.readouterr().out

    return check


def test_a_server_with_all_that_is_needed_passes(check):
    assert (0, "Nothing is missing.\n") == check()


def test_missing_permissions_are_named_with_the_rules_to_add(check):
    code, output = check("+hdel", "+xgroup|setid")

    assert 1 == code
    assert output.startswith("the Redis user may not use HDEL, XGROUP SETID;")
    assert output.endswith("add to its ACL SETUSER: +hdel +xgroup|setid\n")


def test_what_a_server_does_not_tell_is_one_line(check):
    code, output = check("+info", options=["--json"])

    assert 0 == code
    report = json.loads(output)
    assert [] == report["problems"]
    (line,) = report["unknown"]
    assert line.startswith("INFO is refused: unknown are the server's version")


def test_a_server_that_cannot_be_reached_is_one_line(capsys):
    assert 2 == main(["check", "--redis", "redis://u:hunter2@127.0.0.1:1/0"])
    errors = capsys.readouterr().err

    assert 1 == errors.count("\n")
    assert "hunter2" not in errors


def test_a_transport_without_a_server_is_refused(capsys):
    assert 1 == main(["check", "--redis", "memory://"])
    assert "has no server" in capsys.readouterr().err
