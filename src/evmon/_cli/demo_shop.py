"""The sample service of ``evmon demo``: a shop with faults to inject."""

import asyncio
import itertools
import random
import time
from typing import Any, Final

import anyio
from typing_extensions import TypedDict

from evmon._bus.bus import EventBus
from evmon._cli import faults
from evmon._events import Event
from evmon._handlers.handlers import event_handler
from evmon._settings.configs import MetricsConfig, MonitorConfig
from evmon._settings.retry_policy import RetryPolicy
from evmon._settings.thresholds import BYTES_PER_MB, Thresholds
from evmon._text import one_line
from evmon.errors import PublishError

WINDOW_SECONDS: Final = 10.0


class OrderData(TypedDict):
    """The data of an order event."""

    id: int
    cents: int


_RETRY_CHARGES = RetryPolicy(
    max_retries=2, base_delay=0.05, retry_on=(ConnectionError,)
)


class Payments:
    """Charges orders; faults are injected into its handler."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self._failed_once: set[str] = set()
        self._charged = 0

    @event_handler("order.created", retry=_RETRY_CHARGES)
    async def charge(self, event: Event[OrderData]) -> None:
        """Charge the order's price."""
        if self.fault == "failing-handler":
            raise ValueError("the price has no currency")
        if event.id in self._failed_once:
            self._failed_once.remove(event.id)
        elif self.fault == "retries" and self._fails_once():
            self._failed_once.add(event.id)
            raise ConnectionError("the payment provider did not answer")
        await asyncio.sleep(random.uniform(0.001, 0.005))  # noqa: S311 - a demo

    def _fails_once(self) -> bool:
        """Whether this is one charge in six: many retries, but few failed calls."""
        self._charged += 1
        return self._charged % 6 == 0


class Warehouse:
    """Ships orders."""

    @event_handler("order.created")
    @event_handler("order.cancelled")
    async def reserve(self, order: OrderData) -> None:
        """Reserve the ordered items, or release them."""

    @event_handler("order.shipped")
    def label(self, order: OrderData) -> None:
        """Print a label; a plain function, so it runs in a thread."""


class Audit:
    """Audits all order events."""

    @event_handler("order.**")
    async def record(self, event: Event[Any]) -> None:
        """Record the event."""


@event_handler("user.signed_up")
async def welcome(event: Event[Any]) -> None:
    """Greet a new user."""


class Shop:
    """The bus of the shop, its traffic, and the injected fault.

    Args:
        rate: events to publish per second.
        fault: name of one of `FAULTS`.
        transport: URL of the transport.
        fault_seconds: duration of the fault in seconds.
    """

    def __init__(
        self,
        rate: float = 20.0,
        fault: str | None = None,
        transport: str = "memory://",
        fault_seconds: float = faults.DEFAULT_SECONDS,
    ) -> None:
        self.bus = EventBus(
            service="shop",
            transport=transport,
            thresholds=Thresholds(window_seconds=WINDOW_SECONDS),
            monitor=MonitorConfig(check_interval_seconds=1.0),
            metrics=MetricsConfig(),
        )
        self.published = 0
        self.problem = ""
        """Why events cannot be published; empty if they can."""

        self._rate = rate
        self._fault = fault
        self._fault_seconds = fault_seconds
        self._payments = Payments()
        self._providers: tuple[Any, ...] = (
            self._payments,
            Warehouse(),
            Audit(),
            welcome,
        )
        for provider in self._providers:
            self.bus.register(provider)

    async def live(self) -> None:
        """Publish events, register providers and inject the fault, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._traffic)
            group.start_soon(self._reload)
            group.start_soon(self._inject_fault)

    async def _traffic(self) -> None:
        event_types = itertools.cycle(
            [
                *("order.created", "order.created", "order.shipped", "user.signed_up"),
                *("order.created", "order.created", "order.shipped", "order.cancelled"),
            ]
        )
        started = time.monotonic()
        for number in itertools.count(1):
            order = {"id": number, "cents": 1999}
            await self._publish(next(event_types), order)
            due = started + number / self._rate
            await asyncio.sleep(max(due - time.monotonic(), 0))

    async def _publish(self, event_type: str, order: dict[str, int]) -> None:
        """Publish an event; repeat it until the transport accepts it."""
        while problem := await self._refusal(event_type, order):
            self.problem = problem
            await asyncio.sleep(1)
        self.problem = ""
        self.published += 1

    async def _refusal(self, event_type: str, order: dict[str, int]) -> str:
        """Publish an event; returns why it was not accepted, empty if it was."""
        try:
            await self.bus.publish(event_type, order)
        except PublishError as error:
            return one_line(error)
        return ""

    async def _reload(self) -> None:
        """Register the same providers every second, as an application with plug-ins may."""
        while True:
            await asyncio.sleep(1)
            for provider in self._providers:
                self.bus.register(provider)

    async def _inject_fault(self) -> None:
        if self._fault is None:
            return
        await asyncio.sleep(faults.STARTS)
        until = time.monotonic() + self._fault_seconds
        if self._fault == "memory":
            ballast = _ballast(2 * Thresholds().memory_warning_mb)
            await asyncio.sleep(until - time.monotonic())
            del ballast
            return
        self._payments.fault = self._fault
        while time.monotonic() < until:
            if self._fault == "cold-cache":
                for _ in range(40):
                    self.bus.register(_plug_in())
            elif self._fault == "slow-discovery":
                self.bus.register(_slow_class())
            await asyncio.sleep(1)
        self._payments.fault = None


def _ballast(megabytes: float) -> bytearray:
    """Allocate resident memory; pages that are not written to would not count."""
    return bytearray(b"x") * int(megabytes * BYTES_PER_MB)


def _plug_in() -> Any:
    """A new provider without handlers."""
    return type("PlugIn", (), {f"method_{n}": _nothing for n in range(5)})()


def _slow_class() -> type:
    def wait(_: Any) -> None:
        time.sleep(2 * Thresholds().processing_warning_ms / 1000)

    async def handle(_: Any, event: Event[Any]) -> None: ...

    members = {"__init__": wait, "handle": event_handler("report.asked")(handle)}
    return type("SlowReports", (), members)


def _nothing(_: Any) -> None: ...
