"""A bus whose metrics can be read."""

from tests.waiting import eventually

from evmon import EventBus, RetryPolicy
from evmon._telemetry import instruments as i

QUICK = RetryPolicy(max_retries=2, base_delay=0.001)


class MeasuredBus:
    """A bus, and the metrics that it has recorded."""

    def __init__(self, url, **settings):
        self.bus = EventBus(
            **{"service": "shop", "transport": url, "retry": QUICK, **settings}
        )

    async def __aenter__(self):
        await self.bus.start()
        return self.bus

    async def __aexit__(self, *_):
        await self.bus.stop()

    def total(self, instrument, **attributes):
        snapshot = self.bus._runtime.telemetry.snapshot()
        return snapshot.total(instrument, attributes)

    def calls(self, **attributes):
        snapshot = self.bus._runtime.telemetry.snapshot()
        return snapshot.distribution(i.PROCESS_DURATION, attributes).count

    def dead(self, reason):
        return self.total(i.DEAD_LETTERS, **{i.DEAD_LETTER_REASON: reason})

    @property
    def all_dead(self):
        return self.total(i.DEAD_LETTERS)

    async def until_dead(self, reason, count=1):
        await eventually(lambda: self.dead(reason) == count)
        assert count == self.all_dead

    async def until_idle(self):
        await eventually(lambda: not self.total(i.EVENTS_IN_FLIGHT))
