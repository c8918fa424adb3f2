"""Which format answers a scrape, by its Accept header."""

from dataclasses import dataclass
from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as om

_OPENMETRICS: Final = "application/openmetrics-text"
_PLAIN: Final = "text/plain"
_ESCAPINGS: Final = (om.ALLOWUTF8, om.UNDERSCORES, om.DOTS, om.VALUES)


@dataclass(frozen=True, slots=True)
class Format:
    """A text format of metrics.

    Attributes:
        content_type: value of the Content-Type header.
        openmetrics: OpenMetrics 1.0.0, otherwise the Prometheus text format.
        escaping: how names are escaped that are not made of letters, digits and ``_``.
    """

    content_type: str = CONTENT_TYPE_PLAIN_0_0_4
    openmetrics: bool = False
    escaping: str = om.UNDERSCORES


TEXT: Final = Format()
"""The format of last resort, which every version of Prometheus reads."""


def preferred(accept: str) -> Format:
    """The format of the response, as `prometheus_client` names it.

    The highest weight decides, then OpenMetrics before text, then the order of the header.

    Args:
        accept: value of the Accept header.

    Example:
        >>> preferred("application/openmetrics-text; version=1.0.0").content_type
        'application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores'
    """
    best, best_rank = TEXT, (0.0, False)
    for entry in accept.split(","):
        name, parameters = _parsed(entry)
        offered = _format(name, parameters)
        if offered is not None:
            rank = (weight(parameters), offered.openmetrics)
            if rank[0] > 0 and rank > best_rank:
                best, best_rank = offered, rank
    return best


def weights(header: str) -> dict[str, float]:
    """The values of a header such as Accept-Encoding, with their weights.

    Example:
        >>> weights("gzip, br;q=0.5")
        {'gzip': 1.0, 'br': 0.5}
    """
    found: dict[str, float] = {}
    for entry in header.split(","):
        name, parameters = _parsed(entry)
        found[name] = max(weight(parameters), found.get(name, 0.0))
    return found


def weight(parameters: dict[str, str]) -> float:
    """The weight of a value (RFC 9110, 12.4.2); 0 if it is not a number."""
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 0.0


def _parsed(entry: str) -> tuple[str, dict[str, str]]:
    name, *rest = (part.strip() for part in entry.lower().split(";"))
    pairs = (part.partition("=") for part in rest)
    return name, {key.strip(): value.strip().strip('"') for key, _, value in pairs}


def _format(name: str, parameters: dict[str, str]) -> Format | None:
    """The format that an entry of the header asks for; None if there is none."""
    version = parameters.get("version", "")
    escaping = parameters.get("escaping", "")
    if escaping not in _ESCAPINGS:
        escaping = om.UNDERSCORES
    if name == _OPENMETRICS and not version:
        return Format(om.CONTENT_TYPE_LATEST, openmetrics=True)
    if version == "1.0.0" and name in (_OPENMETRICS, _PLAIN):
        content_type = f"{name}; version=1.0.0; charset=utf-8; escaping={escaping}"
        return Format(content_type, name == _OPENMETRICS, escaping)
    if name == _PLAIN and version in ("", "0.0.4"):
        return TEXT
    return TEXT if name in ("text/*", "*/*") else None
