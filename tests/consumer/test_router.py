"""The router finds the handlers to call for an entry, or how to settle it without."""

import pytest
from tests.consumer_harness import QUICK, as_received, raw

from evmon import ConsumerConfig, EventLimits
from evmon._consumer.router import Router
from evmon._consumer.work import Settlement, Work
from evmon._handlers.handlers import handler_of
from evmon._handlers.registry import Registry
from evmon._telemetry import instruments as i
from evmon._telemetry.recorders import ConsumeRecorder


def audit(event): ...


class Base:
    def created(self, event): ...


class Books(Base): ...


class Toys(Base): ...


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def make(registry, measured, clock):
    def make(*, awaits_handlers=False, **config):
        return Router(
            registry,
            ConsumerConfig(**config),
            policy=QUICK,
            recorder=ConsumeRecorder(measured.meter, "memory", "shop", "shop"),
            clock=clock,
            limits=EventLimits(),
            awaits_handlers=lambda: awaits_handlers,
        )

    return make


def route(router, encoded=None, **fields):
    (routed,) = router.route([as_received(encoded or raw(), **fields)])
    return routed


def keys(work):
    return [call.handler.key for call in work.calls]


def test_all_handlers_of_an_event_are_called(make, registry, measured):
    registry.add([handler_of(audit, "order.*"), handler_of(print, "order.created")])
    work = route(make(), attempts=1)

    assert isinstance(work, Work)
    assert ["order.*", "order.created"] == [c.handler.pattern for c in work.calls]
    assert (2, 1) == (work.calls_left, work.received.attempts)
    assert QUICK is work.calls[0].policy
    assert 1 == measured.total(i.CONSUMED_MESSAGES)


def test_only_the_handlers_to_retry_are_called_again(make, registry):
    registry.add([handler_of(audit, "order.*"), handler_of(print, "order.*")])
    work = route(make(), handlers=("builtins.print",))

    assert isinstance(work, Work)
    assert ["builtins.print"] == [call.handler.key for call in work.calls]


@pytest.mark.parametrize("number", ["", "#2"])
def test_a_retry_by_a_former_name_calls_all_handlers_that_had_it(
    make, registry, number
):
    handlers = (Books().created, Toys().created, audit)
    registry.add(handler_of(handler, "order.*") for handler in handlers)
    former = (f"{__name__}.Base.created{number}",)
    work = route(make(), handlers=former)

    assert isinstance(work, Work)
    assert [f"{__name__}.Books.created", f"{__name__}.Toys.created"] == keys(work)
    assert isinstance(route(make(awaits_handlers=True), handlers=former), Settlement)


def test_a_former_name_that_a_handler_has_now_is_that_of_this_handler(make, registry):
    registry.add(handler_of(kind().created, "order.*") for kind in (Books, Base))
    work = route(make(), handlers=(f"{__name__}.Base.created",))

    assert [f"{__name__}.Base.created"] == keys(work)


def test_a_number_that_is_no_longer_registered_is_no_former_name(make, registry):
    registry.add([handler_of(audit, "order.*")])
    settlement = route(make(), handlers=(f"{__name__}.audit#2",))

    assert isinstance(settlement, Settlement)
    assert ["unknown_type"] == [outcome.reason for outcome in settlement.outcomes]


@pytest.mark.parametrize(
    ("encoded", "fields", "reason"),
    [
        (b"{", {}, "decode_error"),
        (raw(), {}, "unknown_type"),
        (raw(), {"deliveries": 4}, "max_deliveries"),
        (raw(), {"handlers": ("shop.gone",)}, "unknown_type"),
    ],
)
def test_an_event_that_no_handler_can_take_is_dead_lettered(
    make, encoded, fields, reason
):
    settlement = route(make(max_deliveries=3), encoded, **fields)

    assert isinstance(settlement, Settlement)
    (letter,) = settlement.outcomes
    assert reason == letter.reason


@pytest.mark.parametrize("handlers", [(), ("shop.late",)])
def test_an_event_is_redelivered_while_handlers_are_discovered(make, handlers):
    settlement = route(make(awaits_handlers=True), attempts=2, handlers=handlers)

    assert isinstance(settlement, Settlement)
    (retry,) = settlement.outcomes
    assert (2, handlers) == (retry.attempts, retry.handlers)


def test_an_unknown_event_is_acknowledged_if_configured(make):
    settlement = route(make(ignore_unknown=True))

    assert isinstance(settlement, Settlement)
    assert () == settlement.outcomes
