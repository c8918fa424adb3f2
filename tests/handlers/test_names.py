"""Names of handlers: by them retries and dead letters find a handler again."""

import functools
import subprocess
import sys
import types

import pytest

from evmon import event_handler
from evmon._handlers.handlers import bind, handler_of, scan


class Base:
    @event_handler("a")
    def created(self, event): ...

    @classmethod
    @event_handler("b")
    def made(cls, event): ...

    @staticmethod
    @event_handler("c")
    def seen(event): ...


class Books(Base): ...


class Toys(Base): ...


def names(provider, *without):
    specs = [spec for spec in scan(provider) if spec.attribute not in without]
    return [bind(provider, spec).name for spec in specs]


@pytest.mark.parametrize("kind", [Books, Toys, Base])
def test_handlers_are_named_after_the_class_of_their_provider(kind):
    expected = [
        f"{__name__}.{kind.__name__}.{name}" for name in ("created", "made", "seen")
    ]

    assert expected == names(kind())
    assert expected[1:] == names(kind, "created")


@pytest.mark.parametrize(
    "method",
    [
        Books().created,
        functools.partial(Books().created),
        functools.partialmethod(Base.created).__get__(Books()),
    ],
)
def test_a_bound_method_is_named_after_the_class_that_it_is_bound_to(method):
    handler = handler_of(method, "a")

    assert f"{__name__}.Books.created" == handler.name
    assert f"{__name__}.Base.created" == handler.former_name


def test_a_bound_class_method_is_named_after_the_class_that_it_is_bound_to():
    assert f"{__name__}.Toys.made" == handler_of(Toys.made, "b").name


def test_a_function_shared_by_classes_is_named_after_each_of_them():
    @event_handler("a")
    def handle(self, event): ...

    first = type("First", (), {"created": handle})
    second = type("Second", (), {"created": handle})

    assert [f"{__name__}.First.created"] == names(first())
    assert [f"{__name__}.Second.created"] == names(second())


def test_handlers_of_a_module_are_named_after_their_attributes():
    module = types.ModuleType("shop")
    exec(
        "from evmon import event_handler\n"
        "created = event_handler('a')(lambda event: None)\n"
        "shipped = event_handler('b')(lambda event: None)\n",
        module.__dict__,
    )

    assert ["shop.created", "shop.shipped"] == names(module)


APP = """
import sys
from evmon import event_handler
from evmon._handlers.handlers import bind, handler_of, scan

@event_handler("a")
def shipped(event): ...

class Orders:
    @event_handler("a")
    def created(self, event): ...

def show():
    for provider in (Orders(), sys.modules[__name__]):
        print(*(bind(provider, spec).name for spec in scan(provider)))
    print(handler_of(shipped, "a").name, handler_of(Orders().created, "a").name)

if __name__ == "__main__":
    show()
    if "spawn" in sys.argv:
        import multiprocessing
        child = multiprocessing.get_context("spawn").Process(target=show)
        child.start()
        child.join()
"""


@pytest.mark.parametrize(
    ("arguments", "module", "times"),
    [
        (["-m", "shop.app"], "shop.app", 1),
        (["-c", "import shop.app; shop.app.show()"], "shop.app", 1),
        (["-m", "shop"], "shop.__main__", 1),
        (["shop/app.py"], "__main__", 1),
        (["-m", "shop.app", "spawn"], "shop.app", 2),
        (["shop/app.py", "spawn"], "__main__", 2),
    ],
)
def test_handlers_of_the_main_module_are_named_after_its_real_name(
    tmp_path, arguments, module, times
):
    (tmp_path / "shop").mkdir()
    for name in ("app.py", "__main__.py"):
        (tmp_path / "shop" / name).write_text(APP)

    shown = subprocess.check_output(
        [sys.executable, *arguments], cwd=tmp_path, text=True
    )

    created, shipped = f"{module}.Orders.created", f"{module}.shipped"
    assert [created, shipped, shipped, created] * times == shown.split()
