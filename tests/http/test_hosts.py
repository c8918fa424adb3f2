"""The names that clients may use for the server, against DNS rebinding."""

import pytest

from evmon._http.hosts import AllowedHosts


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:9464",
        "shop.localhost",
        "127.0.0.1",
        "127.0.0.2:1",
        "[::1]",
        "0.0.0.0:9464",
        "[::]:9464",
        "localhost.",
        "",
    ],
)
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "10.0.0.7"])
def test_loopback_names_and_names_of_one_label_are_allowed(host, address):
    assert AllowedHosts(address).allows(host)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::", "localhost"])
def test_names_of_the_public_dns_are_not_allowed(address):
    allowed = AllowedHosts(address)
    for host in ("attacker.example", "localhost.attacker.example", "127.0.0.1.nip.io"):
        assert not allowed.allows(host)
        assert not allowed.allows(f"{host}:9464")


def test_the_address_and_the_names_of_the_setting_are_allowed():
    allowed = AllowedHosts("10.0.0.7", "shop.example.com, Other.example.com")
    for host in ("10.0.0.7:9464", "shop.example.com", "other.example.com:9464"):
        assert allowed.allows(host)
    assert AllowedHosts("fd00::7").allows("[fd00::7]:9464")
    assert AllowedHosts("127.0.0.1", "*").allows("any.example")


@pytest.mark.parametrize(
    "host",
    ["10.0.0.7:9464", "[fd00::7]", "shop.default.svc", "a.internal:1"],
)
def test_targets_of_prometheus_are_allowed_beyond_the_loopback_interface(host):
    assert AllowedHosts("0.0.0.0").allows(host)
    assert not AllowedHosts("127.0.0.1").allows(host)
    assert not AllowedHosts("::1").allows(host)
