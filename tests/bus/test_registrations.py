"""Providers are kept until the bus starts, and then passed to its discovery."""

import pytest

from evmon import BusStateError, ConfigError
from evmon._bus.registrations import Registrations

PROVIDER = object()


class RecordedDiscovery:
    """The part of a discovery that registrations use."""

    def __init__(self):
        self.queued = []

    def register(self, provider):
        self.queued.append(provider)

    def discover(self, package):
        self.queued.append(package)

    def unregister(self, provider):
        self.queued.remove(provider)
        return 2


@pytest.fixture
def registrations():
    return Registrations(enabled=True)


def test_providers_and_packages_are_passed_on_once(registrations):
    first, second = RecordedDiscovery(), RecordedDiscovery()
    registrations.register(PROVIDER)
    registrations.discover(pytest)
    registrations.pass_to(first)
    registrations.copy_to(second)

    assert [PROVIDER, "pytest"] == first.queued
    assert [] == second.queued


def test_later_providers_go_to_the_discovery_directly(registrations):
    discovery = RecordedDiscovery()
    registrations.pass_to(discovery)
    registrations.register(PROVIDER)
    registrations.discover("package")

    assert [PROVIDER, "package"] == discovery.queued
    assert 2 == registrations.unregister(PROVIDER)


def test_a_copy_leaves_everything_for_the_bus(registrations):
    first, second = RecordedDiscovery(), RecordedDiscovery()
    registrations.register(PROVIDER)
    registrations.copy_to(first)
    registrations.pass_to(second)

    assert [PROVIDER] == first.queued == second.queued


def test_an_unregistered_provider_is_not_passed_on(registrations):
    discovery, provider = RecordedDiscovery(), object()
    registrations.register(provider)

    assert 0 == registrations.unregister(provider)
    registrations.pass_to(discovery)
    assert [] == discovery.queued


@pytest.mark.parametrize("method", ["register", "discover"])
def test_nothing_is_taken_without_discovery_or_after_the_end(method, registrations):
    with pytest.raises(
        BusStateError, match=rf"^{method}\(\) needs auto_discovery=True"
    ):
        getattr(Registrations(enabled=False), method)("x")
    registrations.close()
    with pytest.raises(BusStateError, match="the bus has stopped"):
        getattr(registrations, method)("x")


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize(
    "provider", [None, 7, 1.5, True, b"x", (), [], {}, set(), frozenset()]
)
def test_what_can_hold_no_handlers_is_no_provider(registrations, provider, running):
    if running:
        registrations.pass_to(RecordedDiscovery())
    with pytest.raises(ConfigError) as caught:
        registrations.register(provider)

    assert (
        f"register({provider!r}): must be an instance, class, module or function with"
        " handlers" == str(caught.value)
    )


def test_the_name_of_a_module_is_no_provider_but_a_package(registrations):
    with pytest.raises(ConfigError, match=r"; use discover\('shop.handlers'\)"):
        registrations.register("shop.handlers")


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("package", [7, None, "", object, b"shop"])
def test_what_is_no_module_and_no_name_is_no_package(registrations, package, running):
    if running:
        registrations.pass_to(RecordedDiscovery())
    with pytest.raises(ConfigError) as caught:
        registrations.discover(package)

    assert f"discover({package!r}): must be a module or its dotted name" == str(
        caught.value
    )
