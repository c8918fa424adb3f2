"""A step of the server's clock moves the schedule, and ages wait until they are right.

The tests move the monotonic clock of the process instead of the server's: both look the same,
because only the difference tells of a step.
"""

import time

import pytest
from tests.transports.redis.entries import DEAD, REASON, RETRY, STREAM, owners, read_all

from evmon import RedisConfig
from evmon._telemetry import instruments as i
from evmon._telemetry.transport_recorder import TransportRecorder
from evmon._transports.base import Redelivery
from evmon._transports.redis import RedisTransport

HOUR = 3600.0


class SteppedClock:
    """Clocks of a process, of which each can be set apart from the other."""

    def __init__(self):
        self.stepped = 0.0
        self.wall = 0.0

    def time(self):
        return time.time() + self.wall

    def monotonic(self):
        return time.monotonic() + self.stepped

    def random(self):
        return 1.0


@pytest.fixture
async def make_stepped(server, measured):
    """Makes transports whose server's clock the test sets."""
    opened = []

    async def make(**config):
        clock = SteppedClock()
        recorder = TransportRecorder(measured.meter, "shop", "shop")
        transport = RedisTransport(
            server.url,
            "shop",
            config=RedisConfig(**config),
            recorder=recorder,
            clock=clock,
        )
        opened.append(transport)
        await transport.open()
        await transport._maintenance.run_once()
        return transport, clock

    yield make
    for transport in opened:
        await transport.close()


def set_server(client, *clocks, by):
    """What the processes see if the server's clock is set."""
    client.hincrby("evmon:{shop}:clock", "seen", int(-by * 1000))
    for clock in clocks:
        clock.stepped -= by
        clock.wall -= by


def due(client):
    return client.zrange(RETRY, 0, -1, withscores=True)[0][1] / 1000


@pytest.mark.parametrize("by", [HOUR, -HOUR])
async def test_the_schedule_moves_with_the_clock_once(make_stepped, client, caplog, by):
    one, first = await make_stepped()
    two, second = await make_stepped()
    await one.publish([b"a"])
    await one.settle((await read_all(one, 1))[0], [Redelivery(2 * HOUR, 1, ())])
    before = due(client)

    set_server(client, first, second, by=by)
    for transport in (one, two, one, two):
        await transport._maintenance.run_once()

    moved = due(client) - before
    assert pytest.approx(by, abs=0.5) == moved
    warned = [
        r for r in caplog.records if "the server's clock was set" in r.getMessage()
    ]
    assert 2 == len(warned)
    (sign, *_) = warned[0].getMessage().partition("by ")[2]
    assert ("+" if by > 0 else "-") == sign


async def test_a_process_that_stood_still_moves_nothing(make_stepped, client):
    paused, clock = await make_stepped()
    other, _ = await make_stepped()
    await other.publish([b"a"])
    await other.settle((await read_all(other, 1))[0], [Redelivery(2 * HOUR, 1, ())])
    before = due(client)

    clock.stepped -= HOUR  # its monotonic clock did not advance for an hour
    client.hincrby("evmon:{shop}:clock", "seen", int(HOUR * 1000))  # the others' did
    await paused._maintenance.run_once()

    assert before == due(client)


async def test_a_step_back_while_no_process_ran_is_noticed(make_stepped, client):
    await make_stepped()
    client.hincrby("evmon:{shop}:clock", "seen", int(HOUR * 1000))
    later = time.time() + 2 * HOUR
    client.zadd(RETRY, {"a": int(later * 1000)})

    await make_stepped()

    moved = due(client) - later
    assert pytest.approx(-HOUR, abs=0.5) == moved


async def test_ages_are_unknown_after_a_step_until_they_are_right(
    make_stepped, client, measured
):
    t, clock = await make_stepped()
    await t.publish([b"a"])
    await read_all(t, 1)
    client.xadd(DEAD, {"dead.reason": "rejected"})
    await t._maintenance.run_once()
    assert 0 <= measured.total(i.CONSUMER_PENDING_AGE) < 60

    set_server(client, clock, by=2.5)
    await t._maintenance.run_once()
    for instrument in (i.CONSUMER_PENDING_AGE, i.DEAD_LETTER_QUEUE_AGE):
        assert not measured.snapshot.has(instrument)

    client.hset("evmon:{shop}:clock", "wrong_to", 0)  # time has passed, entries are new
    await t._maintenance.run_once()
    assert 0 <= measured.total(i.CONSUMER_PENDING_AGE) < 60


async def test_entries_of_a_dead_consumer_are_reclaimed_after_a_step_back(
    make_stepped, client
):
    t, clock = await make_stepped(lease=0.2)
    await t.publish([b"a"])
    client.xreadgroup("shop", "dead", {STREAM: ">"})
    (entry,) = client.xpending_range(STREAM, "shop", "-", "+", 1)
    future = int((time.time() + HOUR) * 1000)
    client.execute_command(
        *("XCLAIM", STREAM, "shop", "dead", 0, entry["message_id"]),
        *("TIME", future, "RETRYCOUNT", 1, "JUSTID"),
    )

    set_server(client, clock, by=-HOUR)
    await t._maintenance.run_once()

    (received,) = await read_all(t, 1)
    assert 2 == received.deliveries
    assert {t._consumer.name} == owners(client)


async def test_the_clock_of_the_process_does_not_date_dead_letters(
    make_stepped, client, caplog
):
    t, clock = await make_stepped()
    await t.publish([b"a"])
    received = (await read_all(t, 1))[0]

    clock.wall = HOUR
    await t.settle(received, [REASON])
    await t._maintenance.run_once()

    ((_, letter),) = client.xrange(DEAD)
    assert time.strftime("%Y-%m-%dT%H", time.gmtime()) in {
        letter["dead.dead_at"][:13],
        time.strftime("%Y-%m-%dT%H", time.gmtime(time.time() + 60)),
    }
    assert "the clock of this process was set by +3600.0 s" in caplog.text
