"""The Redis transport on a real server: what is lost, doubled or left over is a bug."""

import asyncio
import contextlib
import logging
import signal
import time

import pytest

from evmon import (
    ConfigError,
    ConsumerConfig,
    Event,
    EventBus,
    RedisConfig,
    Reject,
    RetryLater,
    RetryPolicy,
    TransportError,
)
from evmon._events import encode, now
from evmon._telemetry import instruments as i
from evmon._telemetry.provider import Telemetry
from evmon._telemetry.transport import TransportRecorder
from evmon._transports.base import Again, DeadLetter
from evmon._transports.redis import RedisTransport
from evmon._transports.redis.errors import BrokenError
from evmon._transports.redis.reader import SUSPECT
from evmon._transports.redis.scripts import PUBLISH

STREAM = "evmon:{shop}:events"
DEAD = "evmon:{shop}:dead"
RETRY = "evmon:{shop}:retry"
ENTRIES = "evmon:{shop}:retry:entries"
WHY = DeadLetter("handler_error", "builtins.ValueError", "no", ("h",), 3, "a", "1")


@pytest.fixture
async def make(server, measured):
    opened = []

    async def make(url=server.url, group="", service="shop", **config):
        recorder = TransportRecorder(measured.meter, service, group or service)
        transport = RedisTransport(url, service, group, RedisConfig(**config), recorder)
        opened.append(transport)
        await transport.open()
        return transport

    yield make
    for transport in opened:
        await transport.close()


@pytest.fixture
async def running():
    """Runs transports in the background until the test is over."""
    tasks = []

    def start(transport):
        tasks.append(asyncio.create_task(transport.run()))

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def lost(measured):
    return measured.total(i.EVENTS_LOST, **{i.LOSS_REASON: "trimmed"})


def pending(client, group="shop", stream=STREAM):
    return client.xpending(stream, group)["pending"]


def owners(client, group="shop"):
    found = client.xpending_range(STREAM, group, "-", "+", 1000)
    return {entry["consumer"] for entry in found}


async def read_all(transport, count, within=5.0):
    """Read until `count` entries came."""
    entries = []
    deadline = asyncio.get_running_loop().time() + within
    while len(entries) < count and asyncio.get_running_loop().time() < deadline:
        entries += await transport.read(100, 0.02)
    assert count == len(entries)
    return entries


async def read_for(transport, seconds):
    """Read for some time and return what came."""
    entries = []
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        entries += await transport.read(100, 0.02)
    return entries


# Publishing


async def test_a_batch_that_is_tried_again_is_appended_once(make, client):
    t = await make()
    for _ in range(3):
        assert await t.publish([b"a", b"b"], ["a", "b"], 1) == [None, None]
    assert client.xlen(STREAM) == 2

    await t.publish([b"c"], ["c"], 2)
    assert [r.raw for r in await t.read(10, 0.01)] == [b"a", b"b", b"c"]


async def test_a_try_that_arrives_after_the_next_batch_is_too_late(
    server, client, monkeypatch
):
    bus = EventBus(service="shop", transport=server.url)
    async with bus:
        link = bus._runtime.transport._link
        call, tries = link.call, []

        async def note(*command):
            if command[1] == PUBLISH:
                tries.append(command)
            return await call(*command)

        monkeypatch.setattr(link, "call", note)
        for n in range(12):  # more than one digit: numbers are compared, not texts
            await bus.publish("a", n)
        for late in tries:
            await call(*late)

    assert 12 == len(tries) == client.xlen(STREAM)


async def test_without_a_ticket_every_try_counts(make, client):
    t = await make()
    await t.publish([b"a"])
    await t.publish([b"a"])

    assert client.xlen(STREAM) == 2


async def test_tickets_of_different_producers_do_not_meet(make, client):
    one, two = await make(), await make()
    await one.publish([b"a"], ["a"], 1)
    await two.publish([b"b"], ["b"], 1)

    assert client.xlen(STREAM) == 2


async def test_a_ticket_is_not_remembered_for_ever(make, client):
    t = await make()
    await t.publish([b"a"], ["a"], 1)

    (key,) = client.keys("*producer*")
    assert 0 < client.ttl(key) <= 86_400


async def test_missing_replicas_are_told_and_a_retry_appends_nothing_more(make, client):
    t = await make(min_replicas=1, timeout=0.5)
    for _ in range(2):
        with pytest.raises(TransportError, match="0 of 1 replicas"):
            await t.publish([b"a"], ["a"], 1)

    assert client.xlen(STREAM) == 1


async def test_a_batch_is_appended_whole_or_not_at_all(make, client):
    t = await make(streams=("x",), stream_for=lambda event_type: event_type)
    client.delete(f"{STREAM}:x")
    client.set(f"{STREAM}:x", "no stream")
    with pytest.raises(TransportError, match="WRONGTYPE"):
        await t.publish([b"a", b"b"], ["other", "x"], 1)

    assert client.xlen(STREAM) == 0
    client.delete(f"{STREAM}:x")
    await t.publish([b"a", b"b"], ["other", "x"], 1)
    assert client.xlen(STREAM) == client.xlen(f"{STREAM}:x") == 1


async def test_a_server_without_memory_refuses_and_loses_nothing(make, own_server):
    server = own_server()
    t = await make(server.url)
    with server.client() as client:
        await t.publish([b"a", b"b", b"c"])
        acked, dead, again = await t.read(10, 0.01)
        client.config_set("maxmemory", 1)
        with pytest.raises(TransportError, match=r"OOM|maxmemory"):
            await t.publish([b"d"], ["d"], 1)
        with pytest.raises(TransportError, match=r"OOM|maxmemory"):
            await t.settle(dead, WHY, None)
        with pytest.raises(TransportError, match=r"OOM|maxmemory"):
            await t.settle(again, None, Again(1, 1, ()))
        t.ack(acked)
        await t.flush()
        assert pending(client) == 2
        client.config_set("maxmemory", 0)
        assert await t.settle(dead, WHY, None)
        assert await t.settle(again, None, Again(1, 1, ()))
        await t.publish([b"d"], ["d"], 1)

        assert client.xlen(STREAM) == 4
        assert client.xlen(DEAD) == client.zcard(RETRY) == 1


# Ending entries


async def test_acks_leave_with_flush(make, client):
    t = await make()
    await t.publish([b"a"] * 5)
    for received in await t.read(10, 0.01):
        t.ack(received)
    assert pending(client) == 5
    await t.flush()

    assert pending(client) == 0
    assert client.xlen(STREAM) == 5


async def test_acks_leave_with_the_next_read(make, client):
    t = await make()
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])
    await t.read(10, 0.01)

    assert pending(client) == 0


async def test_acks_leave_by_themselves(make, running, client):
    t = await make()
    running(t)
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])

    await pytest.eventually(lambda: pending(client) == 0)


async def test_acks_that_did_not_arrive_are_sent_again(make, client, monkeypatch):
    t = await make()
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])
    with monkeypatch.context() as broken:
        broken.setattr(t._link, "call", _break)
        with pytest.raises(TransportError):
            await t.flush()
    assert await t.read(10, 0.01) == []

    assert pending(client) == 0


async def test_acks_that_did_not_arrive_are_sent_again_without_a_read(
    make, running, client, monkeypatch
):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    with monkeypatch.context() as broken:
        broken.setattr(t, "flush", _break)
        running(t)
        t.ack(received)
        await asyncio.sleep(0.1)
    assert 1 == pending(client)

    await pytest.eventually(lambda: pending(client) == 0)


async def _break(*_):
    raise BrokenError("gone")


async def test_a_dead_letter_is_acked_and_put_aside_once(make, client):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)

    assert await t.settle(received, WHY, None) is True
    assert await t.settle(received, WHY, None) is False

    assert pending(client) == 0
    ((_, fields),) = client.xrange(DEAD)
    assert fields["event"] == "a"
    assert {
        "dead.reason": "handler_error",
        "dead.stream": STREAM,
        "dead.id": received.id,
        "dead.group": "shop",
        "dead.error_type": "builtins.ValueError",
        "dead.error_message": "no",
        "dead.handlers": "h",
        "dead.attempts": "3",
        "dead.deliveries": "1",
        "dead.redriven": "0",
    }.items() <= fields.items()


async def test_a_scheduled_entry_comes_back_after_its_delay(make, client):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    before = float(client.time()[0]) + client.time()[1] / 1e6

    assert await t.settle(received, None, Again(0.2, 2, ("h", "g"))) is True
    assert await t.settle(received, None, Again(0.2, 2, ("h", "g"))) is False
    assert pending(client) == 0
    ((_, due),) = client.zrange(RETRY, 0, -1, withscores=True)
    assert before + 0.19 <= due / 1000 <= before + 5
    assert await t.read(10, 0.01) == []

    (later,) = await read_all(t, 1)
    assert (later.raw, later.attempts, later.handlers) == (b"a", 2, ("h", "g"))
    assert later.deliveries == 1
    assert client.exists(RETRY, ENTRIES) == 0
    t.ack(later)
    await t.flush()
    assert pending(client) == 0


async def test_a_retry_is_not_late_however_long_reads_block(make):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    for _ in range(2):
        assert await t.read(10, 0.01) == []
    reading = asyncio.create_task(read_all(t, 1))
    await asyncio.sleep(0.1)
    started = time.monotonic()
    assert await t.settle(received, None, Again(1, 1, ()))

    await reading
    assert 1 <= time.monotonic() - started < 1.85


async def test_an_entry_may_be_dead_for_one_handler_and_scheduled_for_another(
    make, client
):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    assert await t.settle(received, WHY, Again(0, 3, ("g",)))

    assert client.xlen(DEAD) == 1
    (later,) = await read_all(t, 1)
    assert later.handlers == ("g",)


async def test_a_scheduled_entry_returns_to_the_group_that_failed_alone(make, client):
    one, two = await make(group="one"), await make(group="two")
    await one.publish([b"a"])
    (received,) = await one.read(10, 0.01)
    (other,) = await two.read(10, 0.01)
    two.ack(other)
    await one.settle(received, None, Again(0, 1, ()))

    (later,) = await read_all(one, 1)
    assert later.attempts == 1
    assert await read_for(two, 0.1) == []
    await two.flush()
    assert pending(client, "two") == 0


async def test_a_full_schedule_refuses_and_the_entry_stays_pending(make, client):
    t = await make(max_scheduled=1)
    await t.publish([b"a", b"b"])
    one, two = await t.read(10, 0.01)
    await t.settle(one, None, Again(60, 1, ()))
    with pytest.raises(TransportError, match="holds 1 events"):
        await t.settle(two, WHY, Again(60, 1, ()))

    assert pending(client) == 1
    assert client.xlen(DEAD) == 0
    assert await t.settle(two, WHY, None)


async def test_a_full_schedule_is_emptied_while_every_slot_waits_for_room_in_it(
    server, client
):
    failing, handled = True, set()

    async def handler(event: Event) -> None:
        if failing:
            raise RetryLater(1.1)
        handled.add(event.data)

    bus = EventBus(
        service="shop",
        transport=server.url,
        redis=RedisConfig(max_scheduled=2, upkeep_interval=0.1),
        consumer=ConsumerConfig(max_concurrency=2, breaker_limit_percent=None),
        retry=RetryPolicy(max_retries=100),
    )
    bus.add_handler("a", handler)
    async with bus:
        await bus.publish_many([("a", n) for n in range(4)])
        await pytest.eventually(lambda: client.zcard(RETRY) == pending(client) == 2)
        failing = False
        await pytest.eventually(lambda: handled == {0, 1, 2, 3}, 20)


@pytest.mark.parametrize("end", [(WHY, None), (None, Again(60, 1, ()))])
async def test_a_lost_answer_to_a_settlement_is_no_loss_and_no_double(
    make, client, monkeypatch, end
):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    call = t._link.call

    async def call_and_break(*command):
        await call(*command)
        raise BrokenError("no answer came")

    with monkeypatch.context() as broken:
        broken.setattr(t._link, "call", call_and_break)
        with pytest.raises(TransportError):
            await t.settle(received, *end)
    assert await t.settle(received, *end) is True
    assert await t.settle(received, *end) is False

    assert client.xlen(DEAD) + client.zcard(RETRY) == 1


# Who has what


async def test_an_answer_that_got_lost_is_read_again_as_the_same_delivery(make, client):
    t = await make()
    await t.publish([b"a", b"b"])
    client.xreadgroup("shop", t._consumer, {STREAM: ">"}, count=1)
    t._inboxes[0].recovering = "-"  # as after any read that failed

    (again,) = await t.read(1, 0.01)
    assert (again.raw, again.deliveries) == (b"a", 1)
    assert [r.raw for r in await t.read(10, 0.01)] == [b"b"]
    assert await read_for(t, 0.05) == []


@pytest.mark.parametrize("silence", [0, 0.15])
async def test_what_ends_while_an_answer_about_it_is_on_its_way_is_not_taken_again(
    make, monkeypatch, silence
):
    t = await make(lease=0.1)
    await t.publish([b"a", b"b", b"c"])
    acked, settled, released = await t.read(10, 0.01)
    await asyncio.sleep(silence)  # longer than the lease: they are reclaimed, from us
    t._inboxes[0].recovering = None if silence else "-"
    call, asked, overtaken = t._reading_link.call, asyncio.Event(), asyncio.Event()

    async def answer_late(*command):
        reply = await call(*command)
        asked.set()
        await overtaken.wait()
        return reply

    monkeypatch.setattr(t._reading_link, "call", answer_late)
    reading = asyncio.create_task(t.read(10, 0.01))
    await asked.wait()
    t.ack(acked)
    await t.flush()
    assert await t.settle(settled, WHY, None)
    await t.release([released])
    overtaken.set()

    assert [] == await reading


async def test_a_cancelled_read_loses_nothing(make):
    t = await make()
    for n in range(20):
        reading = asyncio.create_task(t.read(10, 1))
        await asyncio.sleep(0.002 * (n % 4))
        publishing = asyncio.create_task(t.publish([b"%d" % n]))
        await asyncio.sleep(0.0005 * (n % 5))
        reading.cancel()
        for received in (await asyncio.gather(reading, return_exceptions=True))[:1]:
            if isinstance(received, list):
                t._inboxes[0].held.clear()
                t._inboxes[0].recovering = "-"
        await publishing

    entries = await read_all(t, 20)
    assert sorted(int(r.raw) for r in entries) == list(range(20))


async def test_released_entries_are_taken_by_another_consumer_at_once(
    make, client, measured
):
    one, two = await make(), await make()
    await one.publish([b"a", b"b"])
    entries = await one.read(10, 0.01)
    await one.release(entries)

    taken = await two.read(10, 0.01)
    assert [(r.raw, r.deliveries) for r in taken] == [(b"a", 2), (b"b", 2)]
    assert {two._consumer} == owners(client)
    assert await read_for(one, 0.05) == []
    assert measured.total(i.LEASE_LOSSES) == 0


async def test_only_what_is_ours_is_released(make, client):
    one, two = await make(), await make(lease=0.1)
    await one.publish([b"a"])
    entries = await one.read(10, 0.01)
    await asyncio.sleep(0.12)
    await read_all(two, 1)
    await one.release(entries)

    assert {two._consumer} == owners(client)


async def test_entries_of_a_silent_consumer_are_taken_over(make, client, measured):
    one, two = await make(lease=0.1), await make(lease=0.1)
    await one.publish([b"a", b"b"])
    await one.read(10, 0.01)
    assert await two.read(10, 0.01) == []
    await asyncio.sleep(0.12)

    taken = await read_all(two, 2)
    assert {2} == {r.deliveries for r in taken}
    assert measured.total(i.REDELIVERIES) == 2
    assert measured.total(i.RECLAIMS) == 2


async def test_more_is_never_taken_over_than_asked_for(make, client):
    one, two = await make(lease=0.1), await make(lease=0.1)
    await one.publish([b"%d" % n for n in range(10)])
    await one.read(10, 0.01)
    await asyncio.sleep(0.12)

    taken = []
    while len(taken) < 10:
        entries = await two.read(3, 0.02)
        assert len(entries) <= 3
        taken += entries
        await two._leases.renew()
    assert sorted(r.raw for r in taken) == [b"%d" % n for n in range(10)]


async def test_a_renewed_lease_is_kept(make, running, measured):
    one, two = await make(lease=0.15), await make(lease=0.15)
    running(one)
    await one.publish([b"a"])
    await one.read(10, 0.01)

    assert await read_for(two, 0.5) == []
    assert measured.total(i.LEASE_LOSSES) == 0


async def test_a_renewal_takes_nothing_back(make, client, measured):
    one, two = await make(lease=0.1), await make(lease=0.1)
    gone = []
    one.watch(gone.append)
    await one.publish([b"a"])
    (received,) = await one.read(10, 0.01)
    await asyncio.sleep(0.12)
    (taken,) = await read_all(two, 1)
    await one._leases.renew()

    assert gone == [received]
    assert {two._consumer} == owners(client)
    assert measured.total(i.LEASE_LOSSES) == 1
    one.ack(received)
    await one.flush()
    assert pending(client) == 1, "another consumer's entry was acked"
    assert await one.settle(received, WHY, None) is False
    assert client.xlen(DEAD) == 0
    assert await two.settle(taken, WHY, None) is True


async def test_a_renewal_that_fails_on_one_stream_is_made_on_the_others(make, client):
    t = await make(streams=("x",), stream_for=lambda kind: kind)
    await t.publish([b"a", b"b"], ["other", "x"])
    await read_all(t, 2)
    client.set(STREAM, "no stream")
    await asyncio.sleep(0.1)
    with pytest.raises(TransportError, match="WRONGTYPE"):
        await t._leases.renew()

    (entry,) = client.xpending_range(f"{STREAM}:x", "shop", "-", "+", 10)
    assert entry["time_since_delivered"] < 90
    client.delete(STREAM)


async def test_a_handler_that_lost_its_event_is_cancelled(server, client):
    cancelled = asyncio.Event()
    started = asyncio.Event()

    async def hang(event: Event) -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    bus = EventBus(service="shop", transport=server.url, redis=RedisConfig(lease=0.4))
    bus.add_handler("a", hang)
    async with bus:
        await bus.publish("a")
        await asyncio.wait_for(started.wait(), 5)
        (entry,) = client.xpending_range(STREAM, "shop", "-", "+", 10)
        client.xclaim(STREAM, "shop", "thief", 0, [entry["message_id"]])
        await asyncio.wait_for(cancelled.wait(), 5)

    assert owners(client) == {"thief"}


# What others do to the server


@pytest.mark.parametrize("how", ["flushall", "delete"])
async def test_a_deleted_stream_is_made_again(make, client, measured, how):
    t = await make()
    await t.publish([b"a"])
    assert len(await t.read(10, 0.01)) == 1
    client.flushall() if how == "flushall" else client.delete(STREAM)
    with pytest.raises(TransportError):
        await t.read(10, 0.01)
    assert t.trouble == "the consumer group is gone"
    await t.publish([b"b"])

    (received,) = await read_all(t, 1)
    assert received.raw == b"b"
    assert t.trouble == ""
    assert measured.total(i.GROUP_RECREATIONS) == 1


async def test_a_waiting_reader_notices_that_the_stream_is_gone(make, client):
    t = await make()
    reading = asyncio.create_task(t.read(10, 2))
    await asyncio.sleep(0.05)
    client.delete(STREAM)
    with pytest.raises(TransportError):
        await reading
    await t.publish([b"b"])

    assert len(await read_all(t, 1)) == 1


async def test_a_destroyed_group_reads_from_the_start_and_never_what_is_held(
    make, client, measured, caplog
):
    t = await make()
    await t.publish([b"done", b"held"])
    done, held = await t.read(10, 0.01)
    t.ack(done)
    await t.flush()
    client.xgroup_destroy(STREAM, "shop")
    with pytest.raises(TransportError):
        await t.read(10, 0.01)
    await t.publish([b"new"])

    entries = await read_all(t, 2)
    assert [r.raw for r in entries] == [b"done", b"new"]
    assert measured.total(i.GROUP_RECREATIONS) == 1
    assert "was missing and has been recreated" in caplog.text
    for received in (held, *entries):
        t.ack(received)
    await t.flush()
    assert pending(client) == 0


async def test_a_destroyed_group_is_made_again_while_every_slot_waits_to_be_settled(
    server, client
):
    started, gone, handled = asyncio.Event(), asyncio.Event(), set()

    async def handler(event: Event) -> None:
        started.set()
        await gone.wait()
        if event.data == 0:
            raise Reject
        handled.add(event.data)

    bus = EventBus(
        service="shop",
        transport=server.url,
        redis=RedisConfig(upkeep_interval=0.1),
        consumer=ConsumerConfig(max_concurrency=1),
    )
    bus.add_handler("a", handler)
    async with bus:
        await bus.publish_many([("a", 0), ("a", 1)])
        await started.wait()
        client.xgroup_destroy(STREAM, "shop")
        gone.set()
        await pytest.eventually(lambda: 1 in handled, 20)
        await pytest.eventually(lambda: client.xlen(DEAD) == 1)
        snapshot = bus._runtime.telemetry.snapshot()
        assert 1 == snapshot.total(i.GROUP_RECREATIONS)


async def test_the_bus_survives_a_flush_of_the_server(server, client, caplog):
    seen = []
    bus = EventBus(service="shop", transport=server.url)
    bus.add_handler("a", lambda e: seen.append(e.data))
    async with bus:
        await bus.publish("a", 1)
        await pytest.eventually(lambda: seen == [1])
        client.flushall()
        await pytest.eventually(lambda: client.exists(STREAM))
        await bus.publish("a", 2)
        await pytest.eventually(lambda: seen == [1, 2])
        snapshot = bus._runtime.telemetry.snapshot()
        assert snapshot.total(i.GROUP_RECREATIONS) == 1


async def test_what_was_trimmed_while_pending_is_counted_as_lost(
    make, client, measured
):
    one, two = await make(lease=0.1), await make(lease=0.1)
    await one.publish([b"a", b"b", b"c"])
    await one.read(10, 0.01)
    client.xtrim(STREAM, maxlen=1, approximate=False)
    await asyncio.sleep(0.12)

    (taken,) = await read_all(two, 1)
    assert taken.raw == b"c"
    assert await read_for(two, 0.1) == []
    assert lost(measured) == 2
    assert pending(client) == 1


async def test_what_was_trimmed_on_its_way_to_us_is_counted_as_lost(
    make, client, measured
):
    t = await make()
    await t.publish([b"a", b"b"])
    client.xreadgroup("shop", t._consumer, {STREAM: ">"})
    client.xtrim(STREAM, maxlen=0, approximate=False)
    t._inboxes[0].recovering = "-"

    assert await read_for(t, 0.05) == []
    assert lost(measured) == 2
    assert pending(client) == 0


async def test_what_is_handled_while_it_is_trimmed_is_not_lost(make, client, measured):
    t = await make(lease=0.1)
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    client.xtrim(STREAM, maxlen=0, approximate=False)
    await t._leases.renew()
    t._inboxes[0].recovering = "-"
    assert await t.read(10, 0.01) == []
    t.ack(received)
    await t.flush()

    assert pending(client) == 0
    assert lost(measured) == 0


@pytest.mark.parametrize("end", [(WHY, None), (None, Again(0, 1, ()))])
async def test_what_fails_after_it_was_trimmed_is_settled_once(
    make, client, measured, caplog, end
):
    t = await make()
    await t.publish([b"a"])
    (received,) = await t.read(10, 0.01)
    client.xtrim(STREAM, maxlen=0, approximate=False)
    for _ in range(2):
        await t._leases.renew()

    assert 1 == caplog.text.count("1 events were trimmed from the stream")
    assert await t.settle(received, *end) is True
    assert await t.settle(received, *end) is False
    assert 1 == client.xlen(DEAD) + client.zcard(RETRY)
    assert 0 == lost(measured)


@pytest.mark.parametrize("renewals", [0, 1])
async def test_what_was_trimmed_and_cannot_be_given_back_is_counted_as_lost(
    make, client, measured, renewals
):
    t = await make()
    await t.publish([b"a", b"b"])
    entries = await t.read(10, 0.01)
    client.xtrim(STREAM, maxlen=1, approximate=False)
    for _ in range(renewals):
        await t._leases.renew()
    await t.release(entries)
    await t.release(entries)

    assert 1 == lost(measured)
    assert 1 == pending(client)


async def test_what_was_trimmed_unread_is_counted_once_as_lost(make, client, measured):
    one, two = await make(), await make()
    await one.publish([b"%d" % n for n in range(10)])
    for received in await one.read(2, 0.01):
        one.ack(received)
    await one.flush()
    client.xtrim(STREAM, maxlen=3, approximate=False)
    await one._upkeep.round()
    await two._upkeep.round()

    assert lost(measured) == 5
    assert measured.total(i.CONSUMER_LAG) == 3
    assert [r.raw for r in await read_all(two, 3)] == [b"7", b"8", b"9"]
    await one._upkeep.round()
    assert lost(measured) == 5


async def test_what_was_trimmed_before_the_very_first_read_is_counted_as_lost(
    make, client, measured
):
    t = await make()
    await t.publish([b"%d" % n for n in range(10)])
    client.xtrim(STREAM, maxlen=4, approximate=False)
    await t._upkeep.round()

    assert 6 == lost(measured)
    assert 4 == measured.total(i.CONSUMER_LAG)


async def test_what_was_trimmed_before_the_group_was_made_is_no_loss(
    make, client, measured
):
    one = await make(group="one")
    await one.publish([b"%d" % n for n in range(10)])
    for received in await read_all(one, 10):
        one.ack(received)
    await one.flush()
    client.xtrim(STREAM, maxlen=4, approximate=False)
    two = await make(group="two")
    await two._upkeep.round()

    assert 0 == lost(measured)
    assert 4 == len(await read_all(two, 4))
    await two._upkeep.round()
    assert 0 == lost(measured) == measured.total(i.CONSUMER_LAG)


async def test_everything_trimmed_unread_is_counted_as_lost(make, client, measured):
    t = await make()
    await t.publish([b"a"] * 5)
    t.ack((await t.read(1, 0.01))[0])
    client.xtrim(STREAM, maxlen=0, approximate=False)
    await t._upkeep.round()

    assert lost(measured) == 4
    assert measured.total(i.CONSUMER_LAG) == 0


async def test_finished_entries_that_are_trimmed_are_no_loss(make, client, measured):
    t = await make()
    await t.publish([b"a"] * 5)
    for received in await t.read(10, 0.01):
        t.ack(received)
    await t.flush()
    client.xtrim(STREAM, maxlen=0, approximate=False)
    await t._upkeep.round()

    assert lost(measured) == 0


async def test_an_unknown_lag_is_no_sample(server, client):
    telemetry = Telemetry("shop")
    recorder = TransportRecorder(telemetry.meter, "shop", "shop")
    t = RedisTransport(server.url, "shop", recorder=recorder)
    await t.open()
    await t.publish([b"%d" % n for n in range(6)])
    await t.read(1, 0.01)
    await t._upkeep.round()
    assert telemetry.snapshot().total(i.CONSUMER_LAG) == 5
    assert telemetry.snapshot().total(i.CONSUMER_LAG_KNOWN) == 1
    client.xdel(STREAM, client.xrange(STREAM)[2][0])
    await t._upkeep.round()

    assert not telemetry.snapshot().has(i.CONSUMER_LAG)
    assert telemetry.snapshot().total(i.CONSUMER_LAG_KNOWN) == 0
    await t.close()
    telemetry.shutdown()


async def test_an_unknown_lag_is_no_noise_in_an_application_s_own_provider(
    make, client, measured, caplog
):
    t = await make()
    await t.publish([b"%d" % n for n in range(6)])
    await t.read(1, 0.01)
    client.xdel(STREAM, client.xrange(STREAM)[2][0])
    await t._upkeep.round()

    assert not measured.snapshot.has(i.CONSUMER_LAG)
    assert measured.total(i.CONSUMER_LAG_KNOWN) == 0
    assert caplog.text == ""


async def test_upkeep_shows_how_things_stand(make, client, measured):
    t = await make()
    await t.publish([b"%d" % n for n in range(10)])
    one, two, three, _ = await t.read(4, 0.01)
    await t.settle(one, WHY, None)
    await t.settle(two, None, Again(60, 1, ()))
    t.ack(three)
    await t.flush()
    await t._upkeep.round()

    shown = {
        i.STREAM_LENGTH: 10,
        i.CONSUMER_LAG: 6,
        i.CONSUMER_PENDING: 1,
        i.DEAD_LETTER_QUEUE_SIZE: 1,
        i.RETRY_SCHEDULE_SIZE: 1,
    }
    assert shown == {instrument: measured.total(instrument) for instrument in shown}
    for age in (i.CONSUMER_PENDING_AGE, i.CONSUMER_UNREAD_AGE, i.DEAD_LETTER_QUEUE_AGE):
        assert 0 <= measured.total(age) < 30


# Coming and going


async def test_a_consumer_that_holds_nothing_is_forgotten_when_it_closes(make, client):
    t = await make()
    await t.publish([b"a"])
    t.ack((await t.read(10, 0.01))[0])
    assert len(client.xinfo_consumers(STREAM, "shop")) == 1
    await t.close()

    assert client.xinfo_consumers(STREAM, "shop") == []
    assert pending(client) == 0


async def test_a_consumer_that_holds_something_is_kept_when_it_closes(make, client):
    t = await make()
    await t.publish([b"a", b"b"])
    (received, _) = await t.read(10, 0.01)
    t.ack(received)
    await t.close()

    assert pending(client) == 1
    (kept,) = client.xinfo_consumers(STREAM, "shop")
    assert kept["name"] == t._consumer


async def test_upkeep_forgets_only_who_is_silent_for_long(make, client, monkeypatch):
    t = await make()
    await t.publish([b"a"])
    client.xreadgroup("shop", "holds", {STREAM: ">"})
    client.xgroup_createconsumer(STREAM, "shop", "empty")
    await t._upkeep.round()
    names = {c["name"] for c in client.xinfo_consumers(STREAM, "shop")}
    assert {"holds", "empty"} <= names

    monkeypatch.setattr("evmon._transports.redis.upkeep.FORGET_AFTER", 0)
    await t._upkeep.round()
    assert [c["name"] for c in client.xinfo_consumers(STREAM, "shop")] == ["holds"]


async def test_retention_trims_only_what_every_group_finished(make, client):
    one = await make(group="one", retention=0.0)
    two = await make(group="two", retention=0.0)
    for n in range(1, 351):
        client.xadd(STREAM, {"event": str(n)}, id=f"1000-{n}")
    entries = []
    while len(entries) < 250:
        entries += await one.read(250 - len(entries), 0.01)
    for received in entries[:200]:
        one.ack(received)
    await one.flush()

    await one._upkeep.round()
    assert client.xlen(STREAM) == 350, "the other group has read nothing"
    for received in await read_all(two, 350):
        two.ack(received)
    await two.flush()
    await one._upkeep.round()

    left = [fields["event"] for _, fields in client.xrange(STREAM)]
    assert len(left) < 350
    assert left[-150:] == [str(n) for n in range(201, 351)]


async def test_retention_keeps_what_is_young(make, client):
    t = await make(retention=3600.0)
    await t.publish([b"a"] * 300)
    for received in await read_all(t, 300):
        t.ack(received)
    await t.flush()
    await t._upkeep.round()

    assert client.xlen(STREAM) == 300


async def test_without_retention_nothing_is_trimmed(make, client):
    t = await make()
    for n in range(1, 301):
        client.xadd(STREAM, {"event": "x"}, id=f"1000-{n}")
    for received in await read_all(t, 300):
        t.ack(received)
    await t.flush()
    await t._upkeep.round()

    assert client.xlen(STREAM) == 300


# Several streams


async def test_a_rule_chooses_the_stream(make, client):
    t = await make(
        streams=("orders", "users"), stream_for=lambda kind: kind.split(".")[0]
    )
    kinds = ["orders.made", "users.left", "stock.low", "orders.sent"]
    raws = [kind.encode() for kind in kinds]
    await t.publish(raws, kinds, 1)
    await t.publish(raws, kinds, 1)

    assert client.xlen(STREAM) == 1
    assert client.xlen(f"{STREAM}:orders") == 2
    assert client.xlen(f"{STREAM}:users") == 1
    entries = await read_all(t, 4)
    assert sorted(raws) == sorted(r.raw for r in entries)
    for received in entries:
        t.ack(received)
    await t.flush()
    for stream in (STREAM, f"{STREAM}:orders", f"{STREAM}:users"):
        assert pending(client, stream=stream) == 0


async def test_where_the_rule_fails_the_service_s_own_stream_takes_the_event(
    make, client, caplog
):
    names = {"orders.made": "orders", "wrong": ["no", "name"]}
    t = await make(streams=("orders",), stream_for=names.__getitem__)
    for _ in range(2):
        await t.publish([b"a", b"b", b"c"], ["orders.made", "new.type", "wrong"])

    assert (4, 2) == (client.xlen(STREAM), client.xlen(f"{STREAM}:orders"))
    (told,) = (r for r in caplog.records if "stream_for" in r.getMessage())
    assert "ERROR" == told.levelname
    assert told.getMessage().startswith("stream_for failed for new.type: its events go")


async def test_that_the_rule_fails_is_told_of_a_limited_number_of_types(make, caplog):
    t = await make(streams=("orders",), stream_for={}.__getitem__)
    kinds = [f"type.{n}" for n in range(200)]
    await t.publish([b"a"] * 200, kinds)

    assert 100 == caplog.text.count("stream_for failed for type.")


@pytest.mark.parametrize("count", [1, 2, 3, 7])
async def test_all_streams_together_give_no_more_than_asked_for(make, count):
    t = await make(streams=("x", "y"), stream_for=lambda kind: kind)
    kinds = ["x", "y", "z"] * 10
    await t.publish([b"a"] * 30, kinds)
    got = 0
    for _ in range(100):
        if got >= 30:
            break
        entries = await t.read(count, 0.005)
        assert len(entries) <= count
        got += len(entries)

    assert got == 30


async def test_a_retry_returns_to_the_stream_that_it_came_from(make, client):
    t = await make(streams=("x",), stream_for=lambda kind: kind)
    await t.publish([b"a"], ["x"])
    (received,) = await read_all(t, 1)
    await t.settle(received, None, Again(0, 1, ()))
    (later,) = await read_all(t, 1)

    assert client.xlen(f"{STREAM}:x") == 2
    assert client.xlen(STREAM) == 0
    assert await t.settle(later, WHY, None)
    ((_, fields),) = client.xrange(DEAD)
    assert fields["dead.stream"] == f"{STREAM}:x"


async def test_of_several_streams_each_deleted_one_is_made_again(make, client):
    t = await make(streams=("x",), stream_for=lambda kind: kind)
    client.flushall()
    with pytest.raises(TransportError):
        await t.read(10, 0.01)
    await t.publish([b"a", b"b"], ["x", "other"])

    assert len(await read_all(t, 2)) == 2


async def test_services_on_one_server_do_not_meet(make):
    one, two = await make(service="one"), await make(service="two")
    await one.publish([b"a"])

    assert await two.read(10, 0.01) == []
    assert len(await one.read(10, 0.01)) == 1


# Connections and secrets


@pytest.mark.parametrize("password", ["hunter2", "p%40ss%2Fword"])
async def test_a_refused_connection_is_an_error_without_the_password(
    measured, caplog, password
):
    caplog.set_level(logging.DEBUG)
    t = RedisTransport(
        f"redis://user:{password}@127.0.0.1:1/0",
        "shop",
        config=RedisConfig(connect_within=0.01),
    )
    with pytest.raises(TransportError) as caught:
        await t.open()
    with pytest.raises(TransportError) as published:
        await t.publish([b"a"])
    assert t.trouble
    await t.close()

    shown = [repr(t), str(t.address), repr(t.address), repr(t._config), caplog.text]
    shown += [str(e.value) + repr(e.value) for e in (caught, published)]
    for secret in (password, "p@ss/word"):
        assert not [text for text in shown if secret in text]
    assert "127.0.0.1:1" in str(caught.value)


async def test_a_wrong_password_is_an_error_without_it(own_server, caplog):
    caplog.set_level(logging.DEBUG)
    server = own_server("--requirepass", "right-one")
    config = RedisConfig(password="wrong-one")
    assert "wrong-one" not in repr(config)
    t = RedisTransport(server.url, "shop", config=config)
    with pytest.raises(ConfigError, match="EVMON_REDIS_PASSWORD") as caught:
        await asyncio.wait_for(t.open(), config.connect_within / 2)
    await t.close()

    assert "wrong-one" not in f"{caught.value!r} {caught.value} {caplog.text} {t!r}"


async def test_many_calls_at_once_wait_for_each_other(make, client, measured):
    t = await make()
    await t.publish([b"a"] * 500)
    entries = await read_all(t, 500)
    settled = await asyncio.gather(*(t.settle(e, WHY, None) for e in entries))

    assert {True} == set(settled)
    assert 500 == client.xlen(DEAD)
    assert "" == t.trouble
    assert 0 == measured.total(i.RECONNECTS)


async def test_a_server_with_a_password_is_used(own_server):
    server = own_server("--requirepass", "p@ss/word")
    url = server.url.replace("//", "//:p%40ss%2Fword@")
    for transport in (
        RedisTransport(url, "shop"),
        RedisTransport(server.url, "shop", config=RedisConfig(password="p@ss/word")),
    ):
        await transport.open()
        await transport.publish([b"a"])
        await transport.close()


async def test_a_server_is_reached_by_its_socket(own_server, tmp_path):
    path = tmp_path / "redis.sock"
    own_server("--unixsocket", str(path))
    t = RedisTransport(f"unix://{path}?db=1", "shop")
    await t.open()
    await t.publish([b"a"])
    assert len(await t.read(1, 0.01)) == 1
    assert repr(t) == f"RedisTransport('unix://{path}')"
    await t.close()


async def test_a_server_that_comes_late_is_waited_for(own_server, caplog):
    server = own_server()
    server.stop()
    t = RedisTransport(server.url, "shop")
    opening = asyncio.create_task(t.open())
    await pytest.eventually(lambda: "waiting for server" in caplog.text)
    await asyncio.to_thread(server.start)
    await asyncio.wait_for(opening, 5)
    assert t.trouble == ""
    await t.close()


async def test_after_a_restart_of_the_server_everything_goes_on(
    make, own_server, measured
):
    server = own_server("--appendfsync", "always")
    t = await make(server.url)
    await t.publish([b"a", b"b"])
    one, _ = await t.read(10, 0.01)
    t.ack(one)
    await asyncio.to_thread(server.stop, signal.SIGKILL)
    with pytest.raises(TransportError):
        await t.publish([b"c"], ["c"], 1)
    with pytest.raises(TransportError):
        await t.read(10, 0.01)
    assert t.trouble == "the connection to Redis is broken"
    await asyncio.to_thread(server.start)
    await t.publish([b"c"], ["c"], 1)

    (third,) = await read_all(t, 1)
    assert third.raw == b"c"
    assert t.trouble == ""
    assert measured.total(i.RECONNECTS) == 2
    await t.flush()
    with server.client() as client:
        assert pending(client) == 2


async def test_a_service_that_is_silent_says_so(make, server, clock):
    t = RedisTransport(server.url, "shop", clock=clock)
    await t.open()
    assert t.trouble == ""
    clock.now += 60
    assert t.trouble == "no reply from Redis for 60 s"
    await t.read(1, 0.01)
    assert t.trouble == ""
    await t.close()


# Strangers


def _event(event_type="a"):
    return encode(Event(id="1", source="s", type=event_type, time=now()))


STRANGERS = {
    "no event": ({"hello": "world"}, "decode_error"),
    "no utf-8": ({b"event": b"\xff\xfe", b"\xff": b"\xff"}, "decode_error"),
    "many fields": ({f"f{n}": "v" for n in range(200)}, "decode_error"),
    "very many fields": ({f"f{n}": "v" for n in range(3000)}, "decode_error"),
    "large": ({"event": "x" * 300_000}, "too_large"),
    "deep": ({"event": "[" * 1000}, "too_deep"),
    "unknown handlers": ({"event": _event(), "handlers": "x\ny"}, "unknown_type"),
}


@pytest.mark.parametrize(("fields", "reason"), STRANGERS.values(), ids=STRANGERS.keys())
async def test_what_strangers_write_is_put_aside_and_the_rest_goes_on(
    server, client, fields, reason
):
    seen = []
    bus = EventBus(service="shop", transport=server.url)
    bus.add_handler("a", lambda e: seen.append(e))
    client.xadd(STREAM, fields)
    async with bus:
        await bus.publish("a")
        await pytest.eventually(lambda: seen and client.xlen(DEAD) == 1)
        await pytest.eventually(lambda: pending(client) == 0)

    with server.client() as raw:
        raw.connection_pool.connection_kwargs["decode_responses"] = False
        ((_, letter),) = raw.xrange(DEAD)
    assert letter[b"dead.reason"].decode() == reason
    if len(fields) < 1000:
        kept = {_bytes(name): _bytes(value) for name, value in fields.items()}
        assert kept.items() <= letter.items()
    else:
        assert b"f2999" in letter[b"packed"]


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode()


@pytest.mark.parametrize("number", ["nan", "-5", "1e300", "x", "\udcff", "9" * 5000])
async def test_nonsense_in_our_own_fields_is_survived(server, client, number):
    seen = []
    bus = EventBus(service="shop", transport=server.url)
    bus.add_handler("a", seen.append)
    nonsense = number.encode(errors="surrogateescape")
    fields = {
        "event": _event(),
        "attempts": nonsense,
        "first_failed": nonsense,
        "redriven": nonsense,
    }
    client.xadd(STREAM, fields)
    async with bus:
        await pytest.eventually(lambda: seen)
        await pytest.eventually(lambda: pending(client) == 0)

    assert client.xlen(DEAD) == 0


async def test_a_time_of_failure_of_the_far_future_does_not_stop_the_consumer(
    server, client
):
    seen = []
    bus = EventBus(service="shop", transport=server.url)
    bus.add_handler("a", seen.append)
    client.xadd(STREAM, {"event": "no json", "first_failed": "999999999999"})
    client.xadd(STREAM, {"event": _event()})
    async with bus:
        await pytest.eventually(lambda: seen)
        await pytest.eventually(lambda: client.xlen(DEAD) == 1)


async def test_an_event_that_was_delivered_too_often_is_put_aside(server, client):
    seen = []
    bus = EventBus(
        service="shop",
        transport=server.url,
        redis=RedisConfig(lease=0.1),
        consumer=ConsumerConfig(max_deliveries=3),
        retry=RetryPolicy(max_retries=0),
    )
    bus.add_handler("a", seen.append)
    client.xgroup_create(STREAM, "shop", "0", mkstream=True)
    deadly = client.xadd(STREAM, {"event": _event()})
    client.xadd(STREAM, {"event": _event()})
    client.xreadgroup("shop", "crashed", {STREAM: ">"})
    client.xclaim(STREAM, "shop", "crashed", 0, [deadly], idle=1000, retrycount=3)
    async with bus:
        await pytest.eventually(lambda: client.xlen(DEAD) == 1)
        await pytest.eventually(lambda: len(seen) == 1)
        await pytest.eventually(lambda: pending(client) == 0)

    ((_, letter),) = client.xrange(DEAD)
    assert letter["dead.reason"] == "max_deliveries"
    assert letter["dead.id"] == deadly
    assert letter["dead.deliveries"] == "4"


async def test_a_crashed_process_loses_nothing(server, client):
    """Two buses, one of which ends without a word in the middle of its work."""
    seen = []
    redis = RedisConfig(lease=0.2)
    client.xgroup_create(STREAM, "shop", "0", mkstream=True)
    for _ in range(20):
        client.xadd(STREAM, {"event": _event()})
    client.xreadgroup("shop", "crashed", {STREAM: ">"}, count=10)
    bus = EventBus(service="shop", transport=server.url, redis=redis)
    bus.add_handler("a", seen.append)
    async with bus:
        await pytest.eventually(lambda: len(seen) == 20)
        await pytest.eventually(lambda: pending(client) == 0)


async def test_a_server_that_became_a_replica_is_left_for_the_new_primary(
    own_server, measured
):
    server = own_server()
    recorder = TransportRecorder(measured.meter, "shop", "shop")
    t = RedisTransport(server.url, "shop", recorder=recorder)
    await t.open()
    with server.client() as client:
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(TransportError, match=r"READONLY|read only"):
            await t.publish([b"a"], ["a"], 1)
        assert t.trouble == "the connection to Redis is broken"
        client.replicaof("NO", "ONE")
        await t.publish([b"a"], ["a"], 1)
        assert client.xlen(STREAM) == 1
    assert t.trouble == ""
    assert measured.total(i.RECONNECTS) == 1
    await t.close()


# Restarts of the server


async def test_a_restart_of_the_server_loses_nothing_and_reports_nothing_lost(
    own_server, measured
):
    server = own_server()
    recorder = TransportRecorder(measured.meter, "shop", "shop")
    t = RedisTransport(server.url, "shop", "", RedisConfig(), recorder)
    await t.open()
    await t.publish([b"a"] * 100)
    for entry in await read_all(t, 100):
        t.ack(entry)
    await t.flush()
    await t._upkeep.round()
    server.restart()
    with contextlib.suppress(TransportError):
        await t.read(1, 0.01)
    await t.publish([b"b"] * 10)
    await t._upkeep.round()
    for entry in await read_all(t, 10):
        t.ack(entry)
    await t.flush()
    await t._upkeep.round()
    assert lost(measured) == 0
    assert measured.total(i.CONSUMER_LAG_KNOWN) == 1
    assert measured.total(i.CONSUMER_LAG) == 0

    # From then on what is trimmed is counted again.
    await t.publish([b"c"] * 10)
    with server.client() as client:
        client.xtrim(STREAM, maxlen=4, approximate=False)
    await t._upkeep.round()
    await t.close()
    assert lost(measured) == 6


# Streams that take turns


@pytest.mark.parametrize("free", [1, 2, 3])
async def test_with_fewer_free_slots_than_streams_no_empty_stream_is_waited_for(
    make, free
):
    names = ("a", "b", "c")
    t = await make(streams=names, stream_for=lambda kind: kind)
    await t.publish([b"x"] * 30, ["c"] * 30)
    started = time.monotonic()
    entries = []
    while len(entries) < 30:
        read = await t.read(free, 5.0)
        assert len(read) <= free
        entries += read

    assert time.monotonic() - started < 2.5


async def test_streams_take_turns(make):
    t = await make(streams=("a", "b"), stream_for=lambda kind: kind)
    await t.publish([b"x", b"y", b"z"] * 20, ["", "a", "b"] * 20)
    first = [(await t.read(1, 0.1))[0].raw for _ in range(12)]

    assert {4} == {first.count(raw) for raw in (b"x", b"y", b"z")}


async def test_a_full_server_refuses_what_is_due_and_nothing_else(make, client):
    t = await make(retention=0.0)
    for n in range(1, 151):
        client.xadd(STREAM, {"event": str(n)}, id=f"1000-{n}")
    entries = await read_all(t, 150)
    assert await t.settle(entries.pop(), None, Again(0.0, 1, ()))
    for entry in entries:
        t.ack(entry)
    await t.flush()
    client.config_set("maxmemory", "1")
    try:
        assert await t.read(1, 0.01) == []
        with pytest.raises(TransportError):
            await t._upkeep.round()
        assert client.xlen(STREAM) < 150
    finally:
        client.config_set("maxmemory", "0")
    await t._upkeep.round()
    assert len(await read_for(t, 0.3)) == 1


async def test_retention_keeps_up_with_any_number_of_events(make, client, monkeypatch):
    monkeypatch.setattr("evmon._transports.redis.upkeep.TRIM_COUNT", 200)
    t = await make(retention=0.0)
    for n in range(1, 2001):
        client.xadd(STREAM, {"event": str(n)}, id=f"1000-{n}")
    for entry in await read_all(t, 2000):
        t.ack(entry)
    await t.flush()
    await t._upkeep.round()

    assert client.xlen(STREAM) <= 200


# Suspects


async def test_a_suspect_is_held_alone_so_that_no_neighbour_dies_with_it(make, client):
    silent = await make(lease=0.2)
    await silent.publish([str(n).encode() for n in range(4)])
    await read_all(silent, 4)
    for entry in client.xpending_range(STREAM, "shop", "-", "+", 10)[:3]:
        client.xclaim(
            *(STREAM, "shop", silent._consumer, 0, [entry["message_id"]]),
            retrycount=SUSPECT - 1,
            idle=1000,
        )
    await asyncio.sleep(0.25)
    other = await make(lease=0.2)
    taken = await read_for(other, 0.3)
    assert [(b"0", SUSPECT), (b"3", 2)] == sorted((r.raw, r.deliveries) for r in taken)

    other.ack(next(r for r in taken if r.raw == b"0"))
    await other.flush()
    (suspect,) = await read_for(other, 0.2)
    assert (b"1", SUSPECT) == (suspect.raw, suspect.deliveries)
    (left,) = client.xpending_range(STREAM, "shop", "-", "+", 10, silent._consumer)
    assert left["times_delivered"] == SUSPECT - 1


async def test_an_orderly_stop_is_no_crash(make):
    deliveries = []
    publisher = await make()
    await publisher.publish([b"a"])
    for _ in range(4):
        t = await make()
        (entry,) = await read_all(t, 1)
        deliveries.append(entry.deliveries)
        await t.release([entry])

    assert [1, 2, 2, 2] == deliveries


# Trouble


async def test_reads_that_are_refused_are_trouble(own_server):
    server = own_server()
    with server.client() as client:
        client.execute_command(
            *("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@all", "-xreadgroup")
        )
    t = RedisTransport(
        server.url, "shop", config=RedisConfig(username="reader", password="pw")
    )
    await t.open()
    assert t.trouble == ""
    with pytest.raises(TransportError):
        await t.read(1, 0.01)
    assert t.trouble.startswith("reading fails: ")
    assert "xreadgroup" in t.trouble
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "+xreadgroup")
    await t.read(1, 0.01)
    assert t.trouble == ""
    await t.close()
