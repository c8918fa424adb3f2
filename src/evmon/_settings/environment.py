"""Environment variables: ``EVMON_*`` overrides the settings in code."""

import difflib
import logging
import os
from collections.abc import Mapping
from typing import Final, TypeVar

from evmon._settings.settings import CONFIGS, PREFIX, Settings
from evmon._settings.variables import from_environment, variables

T = TypeVar("T")

_OTEL_NAMES: Final = {
    "OTEL_EXPORTER_PROMETHEUS_HOST": "EVMON_METRICS_HOST",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "EVMON_METRICS_PORT",
}
_REPLACED: Final = {
    "EVMON_BATCHING_ENABLED": "EVMON_BATCHING_MAX_SIZE=1 sends events one by one",
    "EVMON_CONSUMER_MAX_WAIT": "use EVMON_CONSUMER_RETRY_CHECK_INTERVAL",
}
"""Variables of earlier versions, and what to do instead."""

_SIMILAR: Final = 0.85
"""Similarity above which an unknown name counts as a typo. ``EVMON_REDIS_PORT``, set by
Kubernetes for a service named evmon-redis, is not close to ``EVMON_REDIS_PASSWORD``."""

_log = logging.getLogger("evmon.bus")


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


def resolve(settings: T, environ: Mapping[str, str]) -> T:
    """Return settings with the overrides of the environment applied.

    Args:
        settings: `Settings`, or one of its sections.
        environ: the environment, as from `environment`.

    Raises:
        ConfigError: a variable has an invalid value.
    """
    prefix = CONFIGS.get(type(settings), PREFIX)
    shown_names = {
        ours: theirs
        for theirs, ours in _OTEL_NAMES.items()
        if environ.get(theirs) == environ.get(ours)
    }
    return from_environment(settings, prefix, environ, shown_names)


def warn_of_slips(environ: Mapping[str, str]) -> None:
    """Log variables that are not read: replaced ones and probable typos."""
    known = list(variables(Settings, PREFIX))
    for name in sorted(environ):
        if name in _REPLACED:
            _log.warning("variable %s is no longer read; %s", name, _REPLACED[name])
        elif name.startswith("EVMON_") and name not in known:
            meant = difflib.get_close_matches(name, known, 1, _SIMILAR)
            if meant:
                _log.warning("unknown variable %s; did you mean %s?", name, meant[0])
