"""Which names clients may use for the server of ``/metrics``.

A web page can make a browser read a server of this machine or network: its own name is
made to resolve to the address (DNS rebinding). The browser sends that name as Host.
"""

import ipaddress
import socket
from typing import Final

_PRIVATE: Final = frozenset({"internal", "local", "localhost", "svc"})
"""Last labels of names that nobody can register in the public DNS."""


class AllowedHosts:
    """The names by which the server may be asked.

    Those are loopback names, the address that it listens on, the names of a setting, and
    names of one label, which are not in the public DNS. If it listens on more than the
    loopback interface, also addresses and the other names that are not in it, by which
    Prometheus finds its targets.

    Args:
        host: address that the server listens on.
        names: further names, separated by commas; ``*`` allows every name.

    Example:
        >>> allowed = AllowedHosts("127.0.0.1", "shop.example.com")
        >>> allowed.allows("localhost:9464"), allowed.allows("attacker.example")
        (True, False)
    """

    def __init__(self, host: str, names: str = "") -> None:
        given = {_name(name) for name in names.split(",") if name.strip()}
        self._any = "*" in given
        self._names = given | {_name(f"[{host}]" if ":" in host else host)}
        on_all = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        self._is_local = is_this_machine(host.lower()) and not on_all
        self._names.add(_name(socket.gethostname()))

    def allows(self, host: str) -> bool:
        """Whether a request may be answered.

        Args:
            host: value of the Host header; empty in a request of HTTP/1.0, which
                browsers do not send.
        """
        name = _name(host)
        if self._any or not name or name in self._names or is_this_machine(name):
            return True
        if "." not in name and ":" not in name:
            return True
        return not self._is_local and _is_private(name)


def _name(host: str) -> str:
    """A host in lower case, without its port and the dot of the DNS root."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def is_this_machine(host: str) -> bool:
    """Whether a client that connects to a host reaches this machine.

    Args:
        host: name or address in lower case, without a port.

    Example:
        >>> [is_this_machine(host) for host in ("localhost", "::1", "shop.example.com")]
        [True, True, False]
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _is_private(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.rpartition(".")[2] in _PRIVATE
    return True
