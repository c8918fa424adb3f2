"""Responses for ``/metrics`` and the health checks, shared by server and ASGI app."""

import gzip
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import Metric

from evmon._http.negotiation import Format, preferred, weights
from evmon._http.page import Page
from evmon._telemetry.text_format import RenderedFamily

_log = logging.getLogger("evmon.exposition")

MAX_REPORTS: Final = 100
"""Problems that are logged; more would be the same ones under many names."""

_PLAIN: Final = "text/plain; charset=utf-8"


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
        self._rendered: dict[tuple[Format, bool], tuple[float, bytes]] = {}
        self._reported: set[str] = set()

    def render(self, accept: str, accept_encoding: str) -> Response:
        """Answer a scrape; thread-safe, blocks while another one renders.

        Args:
            accept: value of the Accept header; selects OpenMetrics if preferred.
            accept_encoding: value of the Accept-Encoding header; selects gzip if accepted.
        """
        written = preferred(accept)
        compressed = weights(accept_encoding).get("gzip", 0) > 0
        try:
            body = self._body(written, compressed)
        except Exception:  # noqa: BLE001 - a scrape is always answered
            _log.exception("cannot render /metrics")
            return _text(500, "cannot render the metrics; see the log of the service")
        headers = [
            ("content-type", written.content_type),
            ("vary", "accept, accept-encoding"),
        ]
        if compressed:
            headers.append(("content-encoding", "gzip"))
        return Response(200, tuple(headers), body)

    def _body(self, written: Format, compressed: bool) -> bytes:  # noqa: FBT001
        requested = self._monotonic()
        with self._lock:
            rendered = self._rendered.get((written, compressed))
            # A rendering that finished while this scrape waited is fresh enough.
            if rendered and requested < rendered[0] + self._cache_seconds:
                return rendered[1]
            if compressed:
                plain = self._rendered.get((written, False))
                if plain is None or requested >= plain[0] + self._cache_seconds:
                    plain = self._encode(written)
                rendered = (plain[0], gzip.compress(plain[1], compresslevel=6))
            else:
                rendered = self._encode(written)
            self._rendered[written, compressed] = rendered
            return rendered[1]

    def _encode(self, written: Format) -> tuple[float, bytes]:
        page = Page(written, self._report)
        for family in self._families():
            page.add(family)
        rendered = (self._monotonic(), page.text().encode())
        self._rendered[written, False] = rendered
        return rendered

    def _report(self, problem: str) -> None:
        """Log what was left out of the page, once."""
        if problem not in self._reported and len(self._reported) < MAX_REPORTS:
            self._reported.add(problem)
            _log.warning("%s", problem)


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


def _text(status: int, line: str) -> Response:
    return Response(status, (("content-type", _PLAIN),), f"{line}\n".encode())
