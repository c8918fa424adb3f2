"""From a URL to a client of redis-py; passwords stay inside.

::

    redis://host:6379/0            rediss:// with TLS, certificate and host name checked
    unix:///run/redis.sock?db=0
    redis+sentinel://host:26379,host:26379/primary/0       rediss+sentinel://
        ?sentinel_username=…&sentinel_password=…           if they ask for a login
    redis+cluster://host:6379,host:6379                    rediss+cluster://
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from evmon._settings.configs import RedisConfig
from evmon.errors import ConfigError

RedisClient: TypeAlias = "Redis | RedisCluster"
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
CONNECTIONS: Final = 100
"""Connections of a client to one server, at the most."""

_OPTIONS: Final = frozenset(
    {
        *("db", "password", "username", "sentinel_password", "sentinel_username"),
        *("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"),
    }
)
_ENCODE: Final = (
    "transport: the URL cannot be taken apart; special characters in its login must be"
    " percent-encoded, such as %2F for '/'"
)
_PORTS: Final = {"sentinel": 26379, "server": 6379, "cluster": 6379, "socket": 0}


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is, and who we are there.

    Attributes:
        kind: of deployment.
        hosts: host and port of each server that the URL names.
        path: of a Unix socket.
        primary: name under which sentinels know the primary.
        db: number of the database.
        tls: whether to speak TLS.
        username: empty for the default user.
        password: empty for none.
        options: of TLS.
        sentinel: login at the sentinels, as redis-py wants it.
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
        """What may stand in a log."""
        if self.kind == "socket":
            return f"unix://{self.path}"
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.kind} {hosts}"


def parse_address(url: str, config: RedisConfig) -> Address:
    """Take a URL apart; the configuration's user and password win over the URL's.

    Raises:
        ConfigError: says what is wrong with the URL, without its passwords.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # its message would tell the password
        raise ConfigError(_ENCODE) from None
    kind = _KINDS[parts.scheme]
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(options.keys() - _OPTIONS)
    # Where a password was cut in two, its second half must not be shown as something else.
    open_options = (n + v for n, v in options.items() if not n.endswith("password"))
    rest = [parts.path, parts.fragment, *open_options]
    if kind != "socket" and any("@" in part for part in rest):
        raise ConfigError(_ENCODE)
    if unknown:
        known = ", ".join(sorted(_OPTIONS))
        raise ConfigError(f"transport option {unknown[0]!r}: must be one of {known}")
    userinfo, _, hosts = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    path = [unquote(part) for part in parts.path.split("/") if part]
    db = options.pop("db", "0")
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
            f"transport database {db!r}: must be a number; 0 in a cluster"
        )
    if kind == "server" and "," in hosts:
        raise ConfigError(
            "transport=redis://…: must name one host; for several there are"
            " redis+sentinel:// and redis+cluster://"
        )
    return Address(
        kind=kind,
        hosts=() if kind == "socket" else _hosts(hosts, _PORTS[kind]),
        path=unquote(parts.path) if kind == "socket" else "",
        primary=primary,
        db=int(db),
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


def connect(address: Address, timeout: float, connect_timeout: float) -> RedisClient:
    """Make a client; nothing is connected yet.

    It never tries again by itself, which would append events twice, and it hands out
    replies about streams as they came.

    Args:
        address: of the server.
        timeout: seconds to wait for an answer.
        connect_timeout: seconds to wait for a connection.
    """
    options: dict[str, Any] = {
        "username": address.username or None,
        "password": address.password or None,
        "socket_timeout": timeout,
        "socket_connect_timeout": connect_timeout,
        "socket_keepalive": True,
        "max_connections": CONNECTIONS,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if address.tls:
        options |= {"ssl": True, **address.options}
    client = _client(address, options)
    callbacks = client.response_callbacks
    for name in [name for name in callbacks if str(name).upper().startswith("X")]:
        del callbacks[name]
    return client


def _client(address: Address, options: dict[str, Any]) -> RedisClient:
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        return RedisCluster(startup_nodes=nodes, **options)
    options["db"] = address.db
    if address.kind == "sentinel":
        # The sentinels have a login of their own, or none.
        asking = {k: v for k, v in options.items() if k.startswith(("socket_", "ssl"))}
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            list(address.hosts),
            sentinel_kwargs={
                **asking,
                **address.sentinel,
                "retry": Retry(NoBackoff(), 0),
            },
        )
        primary: Redis = sentinel.master_for(address.primary, **options)
        return primary
    if address.kind == "socket":
        del options["socket_keepalive"]
        return Redis(unix_socket_path=address.path, **options)
    host, port = address.hosts[0]
    return Redis(host=host, port=port, **options)


def _hosts(netloc: str, default_port: int) -> tuple[tuple[str, int], ...]:
    found = []
    for part in netloc.split(","):
        try:
            one = urlsplit(f"//{part}")
            host, port = one.hostname or "localhost", one.port or default_port
        except ValueError as error:
            raise ConfigError(f"transport host {part!r}: {error}") from error
        found.append((host, port))
    return tuple(found)
