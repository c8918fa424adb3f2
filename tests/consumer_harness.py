"""A consumer on the memory transport, for tests of its parts."""

import asyncio

from tests.waiting import eventually

from evmon import ConsumerConfig, Event, RetryPolicy
from evmon._clock import SYSTEM_CLOCK
from evmon._consumer.consumer import Consumer
from evmon._events import encode, now
from evmon._handlers.handlers import handler_of
from evmon._handlers.registry import Registry
from evmon._retry import Retrier
from evmon._telemetry.recorders import ConsumeRecorder, RetryRecorder
from evmon._transports.base import Received
from evmon._transports.memory import MemoryTransport

QUICK = RetryPolicy(max_retries=2, base_delay=0.001)


def raw(event_type="order.created", data=None, event_id="1"):
    return encode(
        Event(id=event_id, source="shop", type=event_type, time=now(), data=data)
    )


class ConsumerHarness:
    """Runs a consumer on the memory transport, with the handlers that a test adds."""

    def __init__(self, meter, **config):
        self.transport = MemoryTransport("shop")
        self.registry = Registry()
        self.consumer = Consumer(
            self.transport,
            self.registry,
            ConsumerConfig(**{"drain_timeout": 2.0, **config}),
            policy=QUICK,
            retrier=Retrier(SYSTEM_CLOCK, RetryRecorder(meter, "handler")),
            recorder=ConsumeRecorder(meter, "memory", "shop", "shop"),
            clock=SYSTEM_CLOCK,
        )
        self._task = None

    def on(self, pattern, function, retry=None):
        self.registry.add([handler_of(function, pattern, retry)])

    async def __aenter__(self):
        self._task = asyncio.create_task(self.consumer.run())
        return self

    async def __aexit__(self, *_):
        self.consumer.stop()
        await self._task

    async def send(self, *raws):
        await self.transport.publish(raws)

    @property
    def settled(self):
        return not self.transport.pending and not self.transport.length

    async def until_settled(self):
        await eventually(lambda: self.settled and not self.consumer.in_flight)

    @property
    def reasons(self):
        return [entry.letter.reason for entry in self.transport.dead_letters]


def as_received(encoded, **fields):
    return Received("99", encoded, **fields)
