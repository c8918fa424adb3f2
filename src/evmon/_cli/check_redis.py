"""``evmon check --redis``: checks a server before a service runs on it."""

import asyncio
import json

import click

from evmon._cli.check import BREACHED, UNREACHABLE
from evmon._cli.output import echo_error
from evmon._settings.environment import environment
from evmon._text import printable
from evmon._transports import inspect_server
from evmon.errors import TransportError


def check_redis(url: str, service: str, *, as_json: bool) -> int:
    """Print what a service will miss on a server; returns the exit code.

    Args:
        url: URL of the server.
        service: name of the service.
        as_json: print JSON instead of text.

    Raises:
        ConfigError: the URL is invalid.
    """
    try:
        found = asyncio.run(inspect_server(url, service, environment()))
    except TransportError as error:
        echo_error(f"cannot check the server: {error}")
        return UNREACHABLE
    if as_json:
        report = {"problems": list(found.problems), "unknown": list(found.unknown)}
        click.echo(json.dumps(report, indent=2))
    else:
        lines = [*found.problems, *found.unknown] or ["Nothing is missing."]
        click.echo("\n".join(map(printable, lines)))
    return BREACHED if found.problems else 0
