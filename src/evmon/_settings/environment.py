"""Environment variables: ``EVMON_*`` overrides the settings in code."""

import difflib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from evmon._settings.configs import (
    Batching,
    ConsumerConfig,
    DiscoveryConfig,
    EventLimits,
    MetricsConfig,
    MonitorConfig,
    RedisConfig,
)
from evmon._settings.fields import (
    ANY,
    NOT_EMPTY,
    Rule,
    environment_fields,
    from_environment,
    setting,
    validate,
)
from evmon._settings.retry_policy import RetryPolicy
from evmon._settings.thresholds import Thresholds
from evmon.errors import ConfigError

T = TypeVar("T")

_OTEL_NAMES: Final = {
    "OTEL_EXPORTER_PROMETHEUS_HOST": "EVMON_METRICS_HOST",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "EVMON_METRICS_PORT",
}
_SIMILAR: Final = 0.85
"""Similarity above which an unknown name counts as a typo. ``EVMON_REDIS_PORT``, set by
Kubernetes for a service named evmon-redis, is not close to ``EVMON_REDIS_PASSWORD``."""

_NAME = Rule(
    lambda name: bool(name) and name.isprintable() and " " not in name,
    "a printable name without spaces",
)

_log = logging.getLogger("evmon.bus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Basics:
    """Basic settings of a bus."""

    service: str = setting(
        "evmon", _NAME, "Name of the service; also of its stream and consumer group."
    )
    transport: str = setting(
        "memory://", NOT_EMPTY, "URL of the transport, for example ``redis://…``."
    )
    auto_discovery: bool = setting(True, ANY, "Run discovery and the monitor.")

    def __post_init__(self) -> None:
        validate(self, "EventBus")


CONFIGS: Final[Mapping[type, str]] = {
    DiscoveryConfig: "EVMON_DISCOVERY",
    Batching: "EVMON_BATCHING",
    ConsumerConfig: "EVMON_CONSUMER",
    RedisConfig: "EVMON_REDIS",
    MonitorConfig: "EVMON_MONITOR",
    MetricsConfig: "EVMON_METRICS",
    Thresholds: "EVMON_THRESHOLDS",
    RetryPolicy: "EVMON_RETRY",
    EventLimits: "EVMON_LIMITS",
}
"""Each settings class and the prefix of its environment variables."""

_PREFIXES: Final[Mapping[type, str]] = {Basics: "EVMON", **CONFIGS}


def environment(environ: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """The environment, with OpenTelemetry's standard names mapped to ours.

    An ``EVMON_*`` variable takes precedence over its ``OTEL_*`` equivalent.
    """
    source = os.environ if environ is None else environ
    translated = {
        ours: source[theirs]
        for theirs, ours in _OTEL_NAMES.items()
        if source.get(theirs)  # empty means unset, by the OpenTelemetry specification
    }
    return {**translated, **source}


def resolve(kind: type[T], config: T, environ: Mapping[str, str]) -> T:
    """Return `config` with the overrides of the environment applied.

    Raises:
        ConfigError: `config` is not a `kind`, or a variable has an invalid value.
    """
    prefix = _PREFIXES[kind]
    if not isinstance(config, kind):
        name = prefix.removeprefix("EVMON_").lower()
        raise ConfigError(f"{name}={config!r:.100}: must be a {kind.__name__}(...)")
    said_as = {
        ours: theirs
        for theirs, ours in _OTEL_NAMES.items()
        if environ.get(theirs) == environ.get(ours)
    }
    return from_environment(config, prefix, environ, said_as)


def warn_of_slips(environ: Mapping[str, str]) -> None:
    """Log unknown variables whose name is close to a known one."""
    known = [
        f"{prefix}_{field.name.upper()}"
        for kind, prefix in _PREFIXES.items()
        for field in environment_fields(kind)
    ]
    for name in sorted(environ):
        if name.startswith("EVMON_") and name not in known:
            meant = difflib.get_close_matches(name, known, 1, _SIMILAR)
            if meant:
                _log.warning("unknown variable %s; did you mean %s?", name, meant[0])
