"""Providers: functions about the classes and modules that hold handlers."""

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from evmon._handlers.handlers import HandlerSpec
from evmon._threads import Threads
from evmon.errors import DiscoveryError

T = TypeVar("T")


async def in_thread(
    threads: Threads[str], function: Callable[[Any], T], subject: Any
) -> T:
    """Run user code in a thread, as it may be slow; a stop does not wait for it.

    Args:
        threads: threads to run it in.
        function: function that imports or instantiates the subject.
        subject: name of a module, or a class.

    Raises:
        DiscoveryError: the function raised something like SystemExit, as an imported script may.
    """

    def call() -> T:
        try:
            return function(subject)
        except Exception:
            raise
        except BaseException as error:
            raise DiscoveryError(f"it raised {error!r:.200}") from error

    name = subject if isinstance(subject, str) else describe(subject)
    return await threads.run(name, call)


def needs_instance(provider: type, specs: tuple[HandlerSpec, ...]) -> bool:
    """Whether some handler of a class is an instance method."""
    return any(
        not isinstance(
            inspect.getattr_static(provider, spec.attribute or ""),
            (staticmethod, classmethod),
        )
        for spec in specs
    )


def instantiate(provider: Callable[[], Any]) -> Any:
    """Instantiate a class whose methods handle events.

    Raises:
        DiscoveryError: the constructor needs arguments.
    """
    try:
        inspect.signature(provider).bind()
    except TypeError as error:
        raise DiscoveryError(
            f"{describe(provider)} needs arguments ({error}): register an instance"
            " instead"
        ) from None
    except ValueError:
        pass  # it has no signature, as some extension types
    return provider()


def declared(provider: Any, spec: HandlerSpec) -> Any:
    """The raw attribute of a provider that declares a handler, or the provider itself."""
    if spec.attribute is None:
        return provider
    return inspect.getattr_static(provider, spec.attribute, None)


def is_provider(value: Any, module_name: str) -> bool:
    """Whether an attribute of a module is a concrete class that the module defines."""
    return (
        isinstance(value, type)
        and value.__module__ == module_name
        and not inspect.isabstract(value)
        and not getattr(value, "_is_protocol", False)
    )


def describe(provider: Any) -> str:
    """The name of a provider; never raises, even if its attributes do."""
    try:
        return _name_of(provider)
    except Exception:  # noqa: BLE001 - providers are user code
        return object.__repr__(provider)


def _name_of(provider: Any) -> str:
    if isinstance(provider, ModuleType):
        return provider.__name__
    if inspect.isroutine(provider):
        return f"{provider.__module__}.{provider.__qualname__}"
    kind = provider if isinstance(provider, type) else type(provider)
    name = f"{kind.__module__}.{kind.__qualname__}"
    return name if isinstance(provider, type) else f"{name} instance"
