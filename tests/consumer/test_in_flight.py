"""An entry is in flight until it is acknowledged, settled, reclaimed or released."""

import asyncio

import pytest
from tests.consumer_harness import raw

from evmon import TransportError
from evmon._consumer.in_flight import InFlight
from evmon._consumer.work import Settlement, Work
from evmon._events import decode
from evmon._telemetry import instruments as i
from evmon._telemetry.recorders import ConsumeRecorder
from evmon._transports.base import DeadLetter
from evmon._transports.memory import MemoryTransport

DEAD = DeadLetter("handler_error")


class Transport(MemoryTransport):
    """A transport that fails to settle, or says that an entry was reclaimed."""

    failures = 0
    owned = True

    async def settle(self, received, outcomes):
        if self.failures:
            self.failures -= 1
            raise TransportError("no connection")
        return self.owned and await super().settle(received, outcomes)


@pytest.fixture
def transport():
    return Transport("shop")


@pytest.fixture
def finished():
    return asyncio.Event()


@pytest.fixture
def in_flight(transport, measured, instant_clock, finished):
    recorder = ConsumeRecorder(measured.meter, "memory", "shop", "shop")
    return InFlight(transport, recorder, instant_clock, finished)


@pytest.fixture
async def received(transport, in_flight):
    await transport.publish([raw()])
    entries = await transport.read(1, 0)
    in_flight.add(entries)
    return entries[0]


async def test_an_entry_that_was_read_is_in_flight(in_flight, received, finished):
    assert received in in_flight
    assert 1 == len(in_flight)
    assert not finished.is_set()


async def test_an_event_whose_handlers_succeeded_is_acknowledged(
    in_flight, received, finished, transport
):
    in_flight.acknowledge(received)

    assert received not in in_flight
    assert finished.is_set()
    assert 0 == transport.pending


async def test_an_event_with_a_failed_handler_is_dead_lettered(
    in_flight, received, transport, measured
):
    work = Work(received, decode(received.raw), ())
    work.give_up("audit", 1, ValueError("x"))
    await in_flight.settle(work.settlement(0.0))

    assert 0 == len(in_flight)
    assert ["handler_error"] == [dead.letter.reason for dead in transport.dead_letters]
    assert 1 == measured.total(i.DEAD_LETTERS)


async def test_settling_is_retried_until_the_transport_accepts_it(
    in_flight, received, transport, instant_clock
):
    transport.failures = 2
    await in_flight.settle(Settlement(received, (DEAD,)))

    assert [0.1, 0.2] == instant_clock.slept
    assert 0 == len(in_flight)


async def test_a_dead_letter_of_a_reclaimed_entry_is_not_counted(
    in_flight, received, transport, measured
):
    transport.owned = False
    await in_flight.settle(Settlement(received, (DEAD,)))

    assert 0 == len(in_flight)
    assert 0 == measured.total(i.DEAD_LETTERS)


async def test_the_gauge_shows_the_number_in_flight(in_flight, received, measured):
    in_flight.update_gauge()
    assert 1 == measured.total(i.EVENTS_IN_FLIGHT)

    in_flight.remove(received)
    in_flight.update_gauge()
    assert 0 == measured.total(i.EVENTS_IN_FLIGHT)


async def test_unfinished_entries_are_released_for_redelivery(
    in_flight, received, transport
):
    await in_flight.release()

    assert 0 == len(in_flight)
    (again,) = await transport.read(1, 0)
    assert 2 == again.deliveries
