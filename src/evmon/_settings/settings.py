"""All settings of a bus: the one list of settings classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

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
from evmon._settings.fields import (
    ANY,
    NOT_EMPTY,
    Rule,
    optional_section,
    refuse_url,
    section,
    section_fields,
    setting,
    validate,
)
from evmon._settings.retry_policy import RetryPolicy
from evmon._settings.thresholds import Thresholds
from evmon._settings.variables import variable

PREFIX: Final = "EVMON"

_NAME = Rule(
    lambda name: bool(name) and name.isprintable() and " " not in name,
    "a printable name without spaces",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The arguments of `EventBus`.

    A field is set by the variable ``EVMON_FIELD``, the settings of a section by
    ``EVMON_FIELD_SETTING``. Documentation and checks of variables follow this list.
    """

    service: str = setting(
        "evmon", _NAME, "Name of the service; also of its stream and consumer group."
    )
    transport: str = setting(
        "memory://", NOT_EMPTY, "URL of the transport, for example ``redis://…``."
    )
    auto_discovery: bool = setting(True, ANY, "Run discovery and the monitor.")
    discovery: DiscoveryConfig = section(DiscoveryConfig)
    batching: Batching = section(Batching)
    publish_retry: PublishRetry = section(PublishRetry)
    consumer: ConsumerConfig = section(ConsumerConfig)
    redis: RedisConfig = section(RedisConfig)
    monitor: MonitorConfig = section(MonitorConfig)
    metrics: MetricsConfig | None = optional_section(MetricsConfig, ("host", "port"))
    thresholds: Thresholds = section(Thresholds)
    retry: RetryPolicy = section(RetryPolicy)
    limits: EventLimits = section(EventLimits)

    def __post_init__(self) -> None:
        validate(self, "EventBus")
        example = 'EventBus(service="shop", transport="redis://localhost:6379/0")'
        refuse_url("EventBus.service", self.service, f"the right call is {example}")


CONFIGS: Final[Mapping[type, str]] = {
    field.metadata["section"]: variable(PREFIX, field.name)
    for field in section_fields(Settings)
}
"""Each settings class and the prefix of its environment variables."""
