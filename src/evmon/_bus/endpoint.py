"""The server of ``/metrics`` of one bus; buses of one process share no address."""

import errno
import logging
import os
import threading
from typing import Final

from evmon._http.exposition import Routes
from evmon._http.server import MetricsServer
from evmon._settings.configs import MetricsConfig
from evmon._telemetry.process import listens_on
from evmon.errors import ConfigError

_log = logging.getLogger("evmon.bus")

_lock: Final = threading.Lock()
_serving: Final[dict[tuple[str, int], "MetricsEndpoint"]] = {}
"""The endpoint at each address that this process serves."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_serving.clear)


class MetricsEndpoint:
    """Serves ``/metrics``, unless another bus of this process has the address.

    Environment variables give all buses of a process one address: the first one has it,
    the others run without.

    Args:
        service: name of the service, for the log.
        config: address and limits; None serves nothing.
        routes: routes to serve.
    """

    def __init__(
        self, service: str, config: MetricsConfig | None, routes: Routes
    ) -> None:
        self.service = service
        self._server = MetricsServer(config, routes) if config else None
        self._address = (config.host, config.port) if config and config.port else None

    @property
    def url(self) -> str | None:
        """URL of ``/metrics``; None if it is not served."""
        return f"{self._server.url}/metrics" if self._server else None

    def start(self) -> None:
        """Listen and serve.

        Another exporter of this process, such as the one that
        ``OTEL_METRICS_EXPORTER=prometheus`` starts, keeps an address that it has.

        Raises:
            ConfigError: another process has the address, or it does not exist.
        """
        with _lock:
            other = _serving.get(self._address) if self._address else None
            if other is not None:
                self._server = None
                _log.warning(
                    "/metrics of %s is not served: %s is already served by %s",
                    self.service,
                    other.url,
                    other.service,
                )
            if self._server is None:
                return
            try:
                self._server.start()
            except ConfigError as error:
                if not self._is_taken_by_this_process(error):
                    raise
                _log.warning(
                    "/metrics, /livez and /readyz of %s are not served: another exporter"
                    " of this process serves %s",
                    self.service,
                    self._server.url,
                )
                self._server = None
                return
            if self._address:
                _serving[self._address] = self

    def _is_taken_by_this_process(self, error: ConfigError) -> bool:
        """Whether the address is that of an exporter that OpenTelemetry started."""
        cause = error.__cause__
        in_use = isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
        return in_use and self._address is not None and listens_on(self._address[1])

    def stop(self) -> None:
        """Close all connections; idempotent."""
        if self._server is None:
            return
        self._server.stop()
        with _lock:
            if self._address and _serving.get(self._address) is self:
                del _serving[self._address]
