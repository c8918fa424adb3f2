"""Responses for ``/metrics`` and the health checks, shared by server and ASGI app."""

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

from evmon._telemetry.text_format import RenderedFamily

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
    """An HTTP response.

    Attributes:
        status: status code.
        headers: lower-case names and values; the server adds the content length.
        body: encoded body.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Health:
    """The result of a health check such as ``/readyz``.

    Attributes:
        ok: whether to answer 200, otherwise 503.
        detail: one line of text.
    """

    ok: bool
    detail: str


class Exposition:
    """Renders families, once for scrapes that arrive at about the same time.

    Args:
        families: function that collects the families, rendered ones first.
        cache_seconds: seconds for which a rendering is reused.
        monotonic: source of monotonic time.
    """

    def __init__(
        self,
        families: Callable[[], Iterable[Metric | RenderedFamily]],
        cache_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._families = families
        self._cache_seconds = cache_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._rendered: dict[tuple[str, bool], tuple[float, bytes]] = {}

    def render(self, accept: str, accept_encoding: str) -> Response:
        """Answer a scrape; thread-safe, blocks while another one renders.

        Args:
            accept: value of the Accept header; selects OpenMetrics if preferred.
            accept_encoding: value of the Accept-Encoding header; selects gzip if accepted.
        """
        content_type = _preferred(accept)
        compressed = _quality(accept_encoding).get("gzip", 0) > 0
        try:
            body = self._body(content_type, compressed)
        except Exception:  # noqa: BLE001 - a scrape is always answered
            _log.exception("cannot render /metrics")
            return _text(500, "cannot render the metrics; see the log of the service")
        headers = [("content-type", content_type), ("vary", "accept, accept-encoding")]
        if compressed:
            headers.append(("content-encoding", "gzip"))
        return Response(200, tuple(headers), body)

    def _body(self, content_type: str, compressed: bool) -> bytes:  # noqa: FBT001
        requested = self._monotonic()
        with self._lock:
            rendered = self._rendered.get((content_type, compressed))
            # A rendering that finished while this scrape waited is fresh enough.
            if rendered and requested < rendered[0] + self._cache_seconds:
                return rendered[1]
            if compressed:
                plain = self._rendered.get((content_type, False))
                if plain is None or requested >= plain[0] + self._cache_seconds:
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
            if isinstance(family, RenderedFamily)
        ]
        body = "".join(written).encode() + _ENCODERS[content_type](_Families(others))
        rendered = (self._monotonic(), body)
        self._rendered[content_type, False] = rendered
        return rendered


class Routes:
    """Routes requests by path.

    Args:
        exposition: response to ``/metrics``.
        checks: health checks by path, for example ``/livez``.
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
            method: HTTP method in upper case.
            path: path without the query.
            headers: headers with lower-case names.
        """
        check = self._checks.get(path)
        if check is None and path != "/metrics":
            known = " ".join(["/metrics", *self._checks])
            return _text(404, f"not found; try {known}")
        if method not in ("GET", "HEAD"):
            refusal = _text(405, "only GET and HEAD are allowed")
            allow = (("allow", "GET, HEAD"), *refusal.headers)
            return Response(405, allow, refusal.body)
        if check is not None:
            health = check()
            return _text(200 if health.ok else 503, health.detail)
        return self._exposition.render(
            headers.get("accept", ""), headers.get("accept-encoding", "")
        )


class _Families(Collector):
    """A collector of given families, for the encoders of prometheus_client."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _encodable(family: Metric) -> Metric:
    """Make labels encodable: a single lone surrogate would break every scrape."""
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
    """The content type of the response; OpenMetrics only if the client prefers it."""
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
