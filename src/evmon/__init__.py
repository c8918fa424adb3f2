"""Event handlers with discovery, retries, dead letters and metrics built in.

Declare handlers with `event_handler`, run them on an `EventBus`, and scrape
``/metrics``.
"""

from evmon._bus.bus import EventBus
from evmon._bus.metrics_app import metrics_app
from evmon._discovery.failures import DiscoveryFailure
from evmon._events import Delivery, Event
from evmon._handlers.handlers import Handler, event_handler
from evmon._log_records import clean_records
from evmon._monitor import Finding, Metrics, Monitor, Recommendation
from evmon._settings.configs import (
    Batching,
    ConsumerConfig,
    DiscoveryConfig,
    EventLimits,
    MetricsConfig,
    MonitorConfig,
    PublishRetry,
    RedisConfig,
)
from evmon._settings.retry_policy import RetryPolicy
from evmon._settings.thresholds import Thresholds
from evmon._version import __version__ as __version__
from evmon.errors import (
    BusStateError,
    ConfigError,
    DiscoveryError,
    EvmonError,
    InvalidEventError,
    PublishError,
    Reject,
    RetryLater,
    TransportError,
)

__all__ = [
    "Batching",
    "BusStateError",
    "ConfigError",
    "ConsumerConfig",
    "Delivery",
    "DiscoveryConfig",
    "DiscoveryError",
    "DiscoveryFailure",
    "Event",
    "EventBus",
    "EventLimits",
    "EvmonError",
    "Finding",
    "Handler",
    "InvalidEventError",
    "Metrics",
    "MetricsConfig",
    "Monitor",
    "MonitorConfig",
    "PublishError",
    "PublishRetry",
    "Recommendation",
    "RedisConfig",
    "Reject",
    "RetryLater",
    "RetryPolicy",
    "Thresholds",
    "TransportError",
    "event_handler",
    "metrics_app",
]

clean_records()
