"""The methods of the bus that register handlers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import ModuleType
from typing import Any

from evmon._bus.registrations import Registrations
from evmon._handlers.handlers import handler_of
from evmon._handlers.published import published
from evmon._handlers.registry import Registry
from evmon._settings.retry_policy import RetryPolicy


class RegisterMethods(ABC):
    """Registering, for a class that provides a registry and registrations."""

    _registry: Registry
    _registrations: Registrations

    @abstractmethod
    def _check_process(self) -> None:
        """Refuse a fork of the process that started the bus.

        Raises:
            BusStateError: this is a fork.
        """

    def register(self, provider: Any) -> None:
        """Queue a provider of handlers for discovery; thread-safe, returns at once.

        A class with instance methods as handlers is instantiated without arguments.
        The bus keeps a reference to the provider until `unregister`.

        Args:
            provider: an instance, class, module or function with handlers declared by
                `event_handler`.

        Raises:
            ConfigError: the provider can hold no handlers, such as None or a name.
            BusStateError: the bus has ``auto_discovery=False``, or was stopped, or this
                is a fork of the process that started it.

        Example:
            >>> bus.register(Orders())
        """
        self._check_process()
        self._registrations.register(provider)

    def discover(self, package: str | ModuleType) -> None:
        """Queue a package and its modules for discovery; thread-safe, returns at once.

        Abstract classes and protocols are skipped, and so are classes of which an
        instance is registered.

        Args:
            package: a module or package, or its dotted name.

        Raises:
            ConfigError: the package is neither a module nor a name.
            BusStateError: the bus has ``auto_discovery=False``, or was stopped, or this
                is a fork of the process that started it.

        Example:
            >>> bus.discover("shop.handlers")
        """
        self._check_process()
        self._registrations.discover(package)

    def unregister(self, provider: Any) -> int:
        """Remove the handlers of a provider, or withdraw it from the queue.

        Args:
            provider: the same object that was passed to `register`.

        Returns:
            Number of handlers removed; 0 if none had been registered yet.

        Example:
            >>> bus.unregister(orders)
            2
        """
        self._check_process()
        return self._registrations.unregister(provider)

    def add_handler(
        self,
        pattern: str,
        function: Callable[..., Any],
        *,
        retry: RetryPolicy | None = None,
    ) -> None:
        """Register a function as a handler at once, without discovery.

        Args:
            pattern: an event type or a pattern, as for `event_handler`.
            function: any callable; its annotations decide what it receives, as for
                `event_handler`.
            retry: retry policy of this handler; by default that of the bus.

        Raises:
            ConfigError: the pattern or the policy is invalid.
            DiscoveryError: a parameter cannot be filled from an event.

        Example:
            >>> bus.add_handler("order.created", print)
        """
        self._check_process()
        self._registry.add([handler_of(function, pattern, retry)])

    def publishes(self, pattern: str, model: Any = None) -> None:
        """Declare what the bus publishes, before or after its start.

        Metrics then count these events by type; those of a process that declares nothing,
        and has no handler for them, are counted as ``_unknown``. Data is validated as
        for a handler whose parameter has this type, also if it is an object of the type.

        Args:
            pattern: an event type or a pattern, as for `event_handler`. If several match
                a type, the most specific one decides.
            model: type of the data, such as a pydantic model or a dataclass; by default
                data is not validated.

        Raises:
            ConfigError: the pattern is invalid, it is declared with another model, no
                data can be of this type, or 1,000 patterns are declared.

        Example:
            >>> bus.publishes("order.created", Order)
            >>> await bus.publish("order.created", {"id": "seven"})
            Traceback (most recent call last):
            evmon.errors.InvalidEventError: order.created: data is not a Order: …
        """
        self._check_process()
        self._registry.declare(published(pattern, model))
