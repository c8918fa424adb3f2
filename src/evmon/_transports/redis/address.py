"""Parses the URL of a server.

::

    redis://host:6379/0            rediss:// with TLS, checks certificate and host name
    unix:///run/redis.sock?db=0
    redis+sentinel://host:26379,host:26379/primary/0       rediss+sentinel://
        ?sentinel_username=…&sentinel_password=…           login at the sentinels
    redis+cluster://host:6379,host:6379                    rediss+cluster://
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from evmon._settings.configs import RedisConfig
from evmon.errors import ConfigError

Kind = Literal["server", "socket", "sentinel", "cluster"]

_KINDS: Final[Mapping[str, Kind]] = {
    "redis": "server",
    "rediss": "server",
    "unix": "socket",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}
SCHEMES: Final = tuple(_KINDS)

_OPTIONS: Final = frozenset(
    {
        *("db", "password", "username", "sentinel_password", "sentinel_username"),
        *("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"),
    }
)
_ENCODE: Final = (
    "transport=…: the URL cannot be parsed; special characters in its login must be"
    " percent-encoded, such as %2F for '/'"
)
_PORTS: Final = {"sentinel": 26379, "server": 6379, "cluster": 6379, "socket": 0}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is, and the login.

    Attributes:
        kind: kind of deployment.
        hosts: host and port of each server in the URL.
        path: path of the Unix socket.
        primary: name by which the sentinels know the primary.
        db: number of the database.
        tls: whether connections use TLS.
        username: user name; empty for the default user.
        password: password; empty for none.
        options: TLS options of redis-py.
        sentinel: login at the sentinels, as options of redis-py.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    primary: str = ""
    db: int = 0
    tls: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    sentinel: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def secrets(self) -> list[str]:
        """Texts that must not appear in an error."""
        known = (self.password, self.sentinel.get("password"))
        return [secret for secret in known if secret]

    def __str__(self) -> str:
        """The address without the login, for logs."""
        if self.kind == "socket":
            return f"unix://{self.path}"
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.kind} {hosts}"


def parse_address(url: str, config: RedisConfig) -> Address:
    """Parse a URL whose scheme is one of `SCHEMES`.

    Args:
        url: URL of the server.
        config: user name and password; unless empty, they replace those of the URL.

    Raises:
        ConfigError: the URL is invalid; the message contains no password.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # its message contains the password
        raise ConfigError(_ENCODE) from None
    kind = _KINDS[parts.scheme]
    options = _options(parts, kind)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    if kind == "server" and "," in hosts:
        raise ConfigError(
            "transport=redis://…: must name one host; for several there are"
            " redis+sentinel:// and redis+cluster://"
        )
    username, _, password = userinfo.partition(":")
    primary, db = _primary_and_db(parts, kind, options.pop("db", "0"))
    return Address(
        kind=kind,
        hosts=() if kind == "socket" else _hosts(hosts, _PORTS[kind]),
        path=unquote(parts.path) if kind == "socket" else "",
        primary=primary,
        db=db,
        tls=parts.scheme.startswith("rediss"),
        username=config.username or options.pop("username", "") or unquote(username),
        password=config.password or options.pop("password", "") or unquote(password),
        options={k: v for k, v in options.items() if k.startswith("ssl_")},
        sentinel={
            k.removeprefix("sentinel_"): v
            for k, v in options.items()
            if k.startswith("sentinel_")
        },
    )


def _options(parts: SplitResult, kind: Kind) -> dict[str, str]:
    """The options in the query of a URL."""
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    # A special character in a password splits it: the rest must not appear in an error.
    public = (n + v for n, v in options.items() if not n.endswith("password"))
    rest = [parts.path, parts.fragment, *public]
    if kind != "socket" and any("@" in part for part in rest):
        raise ConfigError(_ENCODE)
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        known = ", ".join(sorted(_OPTIONS))
        raise ConfigError(f"transport=…: option {unknown[0]!r}: must be one of {known}")
    return options


def _primary_and_db(parts: SplitResult, kind: Kind, db: str) -> tuple[str, int]:
    """The name of the primary, and the number of the database (`db` by default)."""
    path = [unquote(part) for part in parts.path.split("/") if part]
    primary = ""
    if kind == "sentinel":
        if not path:
            raise ConfigError(
                "transport=redis+sentinel://…: must name the primary after the hosts,"
                " as in redis+sentinel://host:26379/primary"
            )
        primary = path.pop(0)
    if path and kind != "socket":
        db = path[0]
    if not db.isdecimal() or (kind == "cluster" and int(db)):
        raise ConfigError(
            f"transport=…: database {db!r}: must be a number; 0 in a cluster"
        )
    return primary, int(db)


def _hosts(netloc: str, default_port: int) -> tuple[tuple[str, int], ...]:
    found = []
    for part in netloc.split(","):
        try:
            one = urlsplit(f"//{part}")
            host, port = one.hostname or "localhost", one.port or default_port
        except ValueError as error:
            raise ConfigError(f"transport=…: host {part!r}: {error}") from error
        found.append((host, port))
    return tuple(found)
