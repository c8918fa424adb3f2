"""Event handlers that you can see into.

Declare handlers with `event_handler`, run them on an `EventBus`, and scrape
``/metrics``.
"""

from evmon._bus import EventBus
from evmon._config import (
    Batching,
    ConsumerConfig,
    DiscoveryConfig,
    MetricsConfig,
    MonitorConfig,
    RedisConfig,
)
from evmon._events import Event, EventLimits
from evmon._handlers import event_handler
from evmon._metrics_app import metrics_app
from evmon._retry import RetryPolicy
from evmon._signatures import Delivery
from evmon._thresholds import Thresholds
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
    "Event",
    "EventBus",
    "EventLimits",
    "EvmonError",
    "InvalidEventError",
    "MetricsConfig",
    "MonitorConfig",
    "PublishError",
    "RedisConfig",
    "Reject",
    "RetryLater",
    "RetryPolicy",
    "Thresholds",
    "TransportError",
    "event_handler",
    "metrics_app",
]
__version__ = "0.1.0"
