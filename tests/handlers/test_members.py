"""Members of a provider: those that are handlers, and those that are left out."""

import functools
import sys
import types

import pytest

from evmon import event_handler
from evmon._handlers.handlers import scan
from evmon._handlers.members import left_out


@event_handler("order.created")
def created(event): ...


def traced(function):
    return lambda event: function(event)


class Audit:
    @event_handler("order.*")
    def __call__(self, event): ...

    @event_handler("audited")
    def audited(self, event): ...


@pytest.fixture
def module(monkeypatch):
    module = types.ModuleType("shop_orders_for_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(
        "import functools\nfrom evmon import event_handler\n"
        f"from {__name__} import Audit, created, traced\n",
        module.__dict__,
    )
    return module


def found(provider):
    return [spec.attribute for spec in scan(provider)]


def omitted(provider):
    return [name for name, _ in left_out(provider)]


@pytest.mark.parametrize(
    "source",
    [
        "handle = event_handler('a')(traced(print))",
        "handle = event_handler('a')(functools.partial(print, 1))",
        "handle = event_handler('a')(lambda event: None)\nalias = handle",
    ],
)
def test_what_a_module_declares_is_found_once(module, source):
    exec(source, module.__dict__)

    assert ["handle"] == found(module)
    assert [] == omitted(module)


@pytest.mark.parametrize(
    "source",
    [
        "handle = functools.partial(created)",
        "handle = traced(event_handler('a')(printed))",
        "handle = Audit()",
        "handle = Audit().audited",
    ],
)
def test_other_declared_callables_of_a_module_are_reported(module, source):
    exec(f"def printed(event): ...\n{source}\ndel printed", module.__dict__)

    assert [] == found(module)
    assert ["handle"] == omitted(module)


def test_imports_are_left_to_the_module_that_defines_them(module, monkeypatch):
    exec("handle = event_handler('a')(traced(print))", module.__dict__)
    exec("partial = functools.partial(handle)", module.__dict__)
    other = types.ModuleType("shop_for_test")
    vars(other).update(handle=module.handle, partial=module.partial, created=created)

    assert [] == found(other) == omitted(other)


def test_references_of_an_instance_to_handlers_are_not_handlers_again():
    class Orders:
        hook = staticmethod(created)

        @event_handler("a")
        def handle(self, event): ...

        renamed = handle

        def __init__(self):
            self.function = created
            self.method = self.handle
            self.partial = functools.partial(self.handle)
            self.wrapper = functools.wraps(self.handle)(lambda event: None)
            self.other = Audit().audited

    assert ["handle"] == found(Orders())
    assert ["function"] == omitted(Orders())


def test_an_instance_may_replace_its_method():
    class Orders:
        @event_handler("a")
        def handle(self, event): ...

        def __init__(self):
            self.handle = functools.wraps(self.handle)(lambda event: None)

    assert ["handle"] == found(Orders())


@pytest.mark.parametrize("wrap", [lambda method: method, functools.partial])
def test_a_bound_method_is_found_by_itself(wrap):
    assert [None] == found(wrap(Audit().audited))
