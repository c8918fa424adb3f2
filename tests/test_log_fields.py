"""Every log record about an event has the same fields, made in one place."""

import ast
import logging
import re
from datetime import datetime, timezone
from pathlib import Path

import pytest

import evmon
from evmon import Event, EventBus, Reject, RetryPolicy, event_handler
from evmon._events import encode
from evmon._log_fields import FIELDS, MANY_FIELDS, MAX_IDS, about, about_many
from evmon._transports.base import Received
from evmon.testing import make_event, settled

LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}

NOT_ABOUT_EVENTS = {
    "consumer": (
        "%d of the last %d handler calls failed: reading is paused",
        "a handler succeeded again: reading resumed",
        "reading failed, retrying in",
        "something cancelled an idle worker",
    ),
    "transports": (
        "Redis %s has known vulnerabilities",
        "a key has the wrong type",
        "cannot ask the server for its role",
        "cannot check keys and permissions",
        "cannot check the server's clock",
        "cannot check the server's settings",
        "cannot check the types of keys",
        "cannot promote scheduled retries",
        "cannot renew leases",
        "cannot send acknowledgements",
        "could not remove this consumer",
        "events may get lost: %s",  # a setting of the server
        "group %s of %s was missing",
        "maintenance failed",
        "no consumer group exists",
        "permissions are missing",
        "reconnected to Redis",
        "the clock of this process was set",
        "the event loop was blocked",
        "the server tells little about itself",
        "the server's clock was set",
        "waiting for %s",
    ),
}
"""Beginnings of messages about connections, servers, groups and the breaker.

In other modules, any message that names an event, entry or handler is about one.
"""


def received(entry_id="3-0", event_id="7"):
    now = datetime.now(timezone.utc)
    event = Event(type="order.created", id=event_id, source="shop", time=now)
    return Received(entry_id, encode(event))


def test_a_record_about_an_entry_has_all_fields_and_names_the_event():
    subject = about(received(), handler="shop.h", attempt=2)

    assert "event 7 (order.created, entry 3-0)" == str(subject)
    assert {
        "event_id": "7",
        "event_type": "order.created",
        "entry_id": "3-0",
        "handler": "shop.h",
        "attempt": 2,
    } == subject.fields


def test_a_field_that_is_not_known_is_none():
    assert dict.fromkeys(FIELDS) == about().fields
    assert "event 7" == str(about(event_id="7"))
    assert "event 7 (a.b)" == str(about(event_id="7", event_type="a.b"))
    assert "events of type a.b" == str(about(event_type="a.b"))


@pytest.mark.parametrize(
    "raw", [b"", b"\xff", b"[]", b'{"id": 7}', b"[" * 100_000, b'{"type": "a.b"}']
)
def test_an_entry_without_a_readable_event_is_named_by_its_own_id(raw):
    subject = about(Received("3-0", raw))

    assert "entry 3-0" == str(subject)
    assert (None, "3-0") == (subject.fields["event_id"], subject.fields["entry_id"])


def test_an_event_that_is_invalid_otherwise_is_named_by_its_id():
    raw = b'{"id": "7", "type": "a.b", "time": "yesterday"}'

    assert "event 7 (a.b, entry 3-0)" == str(about(Received("3-0", raw)))


def test_fields_are_printable_and_bounded():
    hostile = "x\n2026-01-01 CRITICAL evmon.bus all is lost\x1b[2J\u202e" + "y" * 5000
    one = about(event_id=hostile, event_type=hostile, handler=hostile)
    many = about_many(1, event_ids=[hostile], event_types=[hostile], handler=hostile)

    for text in (str(one), *map(str, one.fields.values()), *many.fields["event_ids"]):
        assert text.isprintable()
        assert 2200 > len(text)


def test_a_record_about_several_events_has_what_they_share_and_their_ids():
    entries = [received("3-0"), received("4-0", event_id="8")]
    subject = about_many(2, entries, handler="shop.h", attempt=1)

    assert "2 events" == str(subject)
    assert {
        "event_id": None,
        "event_type": "order.created",
        "entry_id": None,
        "handler": "shop.h",
        "attempt": 1,
        "event_count": 2,
        "event_ids": ["7", "8"],
        "entry_ids": ["3-0", "4-0"],
    } == subject.fields


def test_events_of_which_only_the_number_is_known_have_the_same_fields():
    subject = about_many(3)

    assert [*FIELDS, *MANY_FIELDS] == list(subject.fields)
    assert {None, 3} == set(subject.fields.values())


def test_a_record_lists_a_limited_number_of_ids():
    entries = [received(f"{n}-0") for n in range(1000)]
    fields = about_many(1000, entries).fields

    assert MAX_IDS == len(fields["event_ids"]) == len(fields["entry_ids"])
    assert fields["event_type"] is None  # the others were not read


def test_no_field_is_an_attribute_of_every_record():
    assert not {*FIELDS, *MANY_FIELDS} & vars(logging.makeLogRecord({})).keys()


@event_handler("order.created", retry=RetryPolicy(max_retries=1, base_delay=0.001))
async def broken(event: Event) -> None:
    raise ValueError("no")


@event_handler("order.paid")
async def refuses(events: list[Event]) -> None:
    raise Reject("not these")


async def test_every_record_about_a_failing_event_names_it(caplog):
    caplog.set_level("INFO")
    bus = EventBus(service="shop")
    bus.register(broken)
    bus.register(refuses)
    async with bus:
        await bus.publish("order.created", 1, id="7")
        await settled(bus)

    records = [r for r in caplog.records if r.name == "evmon.consumer"]
    name = f"{__name__}.broken"
    assert [
        f"handler {name} failed on event 7 (order.created, entry 1), attempt 1,",
        f"handler {name} gave up on event 7 (order.created, entry 1), attempt 2:",
        "event 7 (order.created, entry 1) was dead-lettered (handler_error):",
    ] == [re.sub(" (retrying|ValueError|no).*", "", r.getMessage()) for r in records]
    assert [
        ("7", "order.created", "1", name, 1),
        ("7", "order.created", "1", name, 2),
        ("7", "order.created", "1", name, 2),
    ] == [tuple(getattr(r, field) for field in FIELDS) for r in records]


async def test_the_record_of_a_failed_batch_lists_its_events(caplog):
    bus = EventBus(service="shop")
    bus.register(refuses)
    async with bus:
        await bus.publish_many([make_event("order.paid", id=f"{n}") for n in range(2)])
        await settled(bus)

    (batch,) = [
        r for r in caplog.records if "failed on a batch of 2 events" in r.getMessage()
    ]
    assert (None, "order.paid", None, f"{__name__}.refuses", 1) == tuple(
        getattr(batch, field) for field in FIELDS
    )
    assert (2, ["0", "1"], ["1", "2"]) == tuple(
        getattr(batch, field) for field in MANY_FIELDS
    )


def logging_calls():
    """File, message and call of every logging call in the package."""
    root = Path(evmon.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and ast.unparse(node.func.value) in {"_log", "logging"}
            ):
                name = str(path.relative_to(root)).partition("/")[0].strip("_")
                message = node.args[1 if node.func.attr == "log" else 0]
                yield name, message, node


def texts(message):
    """The constant texts that a message may be; a variable one fails here."""
    if isinstance(message, ast.IfExp):
        return texts(message.body) + texts(message.orelse)
    assert isinstance(message, ast.Constant), ast.unparse(message)
    return [message.value]


def has_fields(call):
    extra = next((k.value for k in call.keywords if k.arg == "extra"), None)
    return extra is not None and any(
        isinstance(node, ast.Attribute) and node.attr == "fields"
        for node in ast.walk(extra)
    )


def is_about_events(module, text):
    if module in NOT_ABOUT_EVENTS:
        return not text.startswith(NOT_ABOUT_EVENTS[module])
    words = {word.strip("s:,") for word in text.split()}
    return module == "publisher.py" or bool(words & {"event", "events", "entry"})


def test_every_record_about_events_has_the_fields():
    found = [(m, text, call) for m, msg, call in logging_calls() for text in texts(msg)]
    lacking = [
        (module, text)
        for module, text, call in found
        if is_about_events(module, text) and not has_fields(call)
    ]

    assert [] == lacking
    assert 18 < sum(has_fields(call) for _, _, call in found)


def test_every_logger_has_the_name_that_is_looked_for_above():
    root = Path(evmon.__file__).parent
    configure = {root / "_log_records.py", root / "_cli" / "demo.py"}
    for path in sorted(set(root.rglob("*.py")) - configure):
        for line in path.read_text("utf-8").splitlines():
            assert "getLogger" not in line or line.startswith("_log = logging."), path


def test_every_message_is_one_line():
    for _, message, _ in logging_calls():
        assert not [text for text in texts(message) if "\n" in text]
