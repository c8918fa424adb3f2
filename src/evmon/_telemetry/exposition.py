"""What is answered on ``/metrics`` and beside it: pure, for server and ASGI alike."""

import gzip
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from evmon._telemetry.text import Rendered

_log = logging.getLogger("evmon.exposition")

_TEXT: Final = CONTENT_TYPE_PLAIN_0_0_4
_OPENMETRICS: Final = openmetrics.CONTENT_TYPE_LATEST
_PLAIN: Final = "text/plain; charset=utf-8"
_ENCODERS: Final[dict[str, Callable[[Collector], bytes]]] = {
    _TEXT: generate_latest,
    _OPENMETRICS: openmetrics.generate_latest,
}


@dataclass(frozen=True, slots=True)
class Response:
    """An answer over HTTP.

    Attributes:
        status: code.
        headers: names in lower case, and values; the length is for the server to add.
        body: what follows, already encoded.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Health:
    """The outcome of a check such as ``/readyz``.

    Attributes:
        ok: whether to answer 200 (or 503).
        detail: one line for people.
    """

    ok: bool
    detail: str


class Exposition:
    """Renders families, once for all scrapes that come at about the same time.

    Args:
        families: collects; what is rendered already comes before the rest.
        cache_seconds: for how long a rendering is good.
        monotonic: clock.
    """

    def __init__(
        self,
        families: Callable[[], Iterable[Metric | Rendered]],
        cache_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._families = families
        self._cache_seconds = cache_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._rendered: dict[tuple[str, bool], tuple[float, bytes]] = {}

    def render(self, accept: str, accept_encoding: str) -> Response:
        """Answer a scrape. Thread-safe; blocks while another one renders.

        Args:
            accept: the request's header: text format, or OpenMetrics if preferred.
            accept_encoding: the request's header: gzip if accepted.
        """
        content_type = _preferred(accept)
        compressed = _quality(accept_encoding).get("gzip", 0) > 0
        try:
            body = self._body(content_type, compressed)
        except Exception:  # noqa: BLE001 - whatever breaks, the scrape is answered
            _log.exception("/metrics could not be rendered")
            return _text(500, "the metrics could not be rendered; see the log")
        headers = [("content-type", content_type), ("vary", "accept, accept-encoding")]
        if compressed:
            headers.append(("content-encoding", "gzip"))
        return Response(200, tuple(headers), body)

    def _body(self, content_type: str, compressed: bool) -> bytes:  # noqa: FBT001
        asked = self._monotonic()
        with self._lock:
            rendered = self._rendered.get((content_type, compressed))
            # A rendering that ended while this scrape waited for it is as good.
            if rendered and asked < rendered[0] + self._cache_seconds:
                return rendered[1]
            if compressed:
                plain = self._rendered.get((content_type, False))
                if plain is None or asked >= plain[0] + self._cache_seconds:
                    plain = self._encode(content_type)
                rendered = (plain[0], gzip.compress(plain[1], compresslevel=6))
            else:
                rendered = self._encode(content_type)
            self._rendered[content_type, compressed] = rendered
            return rendered[1]

    def _encode(self, content_type: str) -> tuple[float, bytes]:
        families = list(self._families())
        others = [_encodable(f) for f in families if isinstance(f, Metric)]
        written = [
            family.text(openmetrics=content_type == _OPENMETRICS)
            for family in families
            if isinstance(family, Rendered)
        ]
        body = "".join(written).encode() + _ENCODERS[content_type](_Families(others))
        rendered = (self._monotonic(), body)
        self._rendered[content_type, False] = rendered
        return rendered


class Routes:
    """Which request gets which answer.

    Args:
        exposition: answers ``/metrics``.
        checks: answer their paths, for example ``/livez``.
    """

    def __init__(
        self,
        exposition: Exposition,
        checks: Mapping[str, Callable[[], Health]] | None = None,
    ) -> None:
        self._exposition = exposition
        self._checks = checks or {}

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Response:
        """Answer a request; may block while metrics are rendered.

        Args:
            method: in capitals.
            path: without query.
            headers: names in lower case.
        """
        check = self._checks.get(path)
        if check is None and path != "/metrics":
            known = " ".join(["/metrics", *self._checks])
            return _text(404, f"not here; there is {known}")
        if method not in ("GET", "HEAD"):
            refusal = _text(405, "only GET and HEAD")
            allow = (("allow", "GET, HEAD"), *refusal.headers)
            return Response(405, allow, refusal.body)
        if check is not None:
            health = check()
            return _text(200 if health.ok else 503, health.detail)
        return self._exposition.render(
            headers.get("accept", ""), headers.get("accept-encoding", "")
        )


class _Families(Collector):
    """What the encoders of prometheus_client take for a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _encodable(family: Metric) -> Metric:
    """A family whose labels are text: one lone surrogate would end every scrape."""
    for at, sample in enumerate(family.samples):
        if not all(value.isascii() for value in sample.labels.values()):
            labels = {
                name: value.encode(errors="replace").decode()
                for name, value in sample.labels.items()
            }
            family.samples[at] = sample._replace(labels=labels)
    return family


def _text(status: int, line: str) -> Response:
    return Response(status, (("content-type", _PLAIN),), f"{line}\n".encode())


def _preferred(accept: str) -> str:
    """The content type to answer with: OpenMetrics only if it is asked for more."""
    quality = _quality(accept)
    wanted = quality.get("application/openmetrics-text", 0)
    other = max((quality.get(t, 0) for t in ("text/plain", "text/*")), default=0)
    return _OPENMETRICS if wanted > 0 and wanted >= other else _TEXT


def _quality(header: str) -> dict[str, float]:
    """The values of an Accept header with their weights (RFC 9110, 12.4.2)."""
    weights: dict[str, float] = {}
    for entry in header.lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        weights[name] = max(weight, weights.get(name, 0.0))
    return weights
