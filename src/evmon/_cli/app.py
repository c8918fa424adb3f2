"""The commands; every error is one line that says what to do."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from evmon import __version__
from evmon._cli.check import DEFAULT_URL, check
from evmon._cli.check_redis import check_redis
from evmon._cli.demo import run_demo
from evmon._cli.dlq import dlq
from evmon._cli.faults import DEFAULT_SECONDS, FAULTS
from evmon._cli.generate import (
    alertmanager_command,
    dashboards_command,
    rules_command,
)
from evmon._cli.handlers import failures_left_out_of_log, handlers_table
from evmon._cli.load import load_bus
from evmon._cli.options import Duration, FiniteRange
from evmon._cli.output import console, echo_error
from evmon._cli.runbooks import runbook_command
from evmon._text import one_line
from evmon.errors import EvmonError, leaf_errors

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

USAGE_ERROR: Final = 2
_PORT: Final = click.IntRange(0, 65535)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Args:
        arguments: arguments without the program name; by default those of the process.
    """
    try:
        outcome = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="evmon",
            standalone_mode=False,
        )
    except click.UsageError as error:
        if error.ctx and _lacks_command(error):
            click.echo(error.ctx.get_help(), err=True)
            return USAGE_ERROR
        command = error.ctx.command_path if error.ctx else "evmon"
        return _fail(f"{error.format_message()} (see '{command} --help')", USAGE_ERROR)
    except click.ClickException as error:
        return _fail(error.format_message(), 1)
    except EvmonError as error:
        return _fail(str(error), 1)
    except BaseExceptionGroup as group:
        first, *others = leaf_errors(group)
        if all(isinstance(error, EvmonError) for error in (first, *others)):
            return _fail(str(first), 1)
        raise
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader of the pipe is gone; prevent writes at exit too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return outcome if isinstance(outcome, int) else 0


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evmon")
def cli() -> None:
    """Run and inspect event handlers.

    \b
    Examples:
      evmon demo                      run a sample service with /metrics
      evmon run shop.app:bus          run your own service
      evmon handlers shop.app:bus     list the handlers it would discover
      evmon check                     check the service on this machine
      evmon runbook EvmonMemoryHigh   print what to do about an alert
      evmon dlq list                  list dead-lettered events and why
      evmon rules                     print alert rules for Prometheus
      evmon dashboards                write dashboards for Grafana
    """


cli.add_command(dlq)
cli.add_command(runbook_command)
cli.add_command(rules_command)
cli.add_command(dashboards_command)
cli.add_command(alertmanager_command)


@cli.command("demo")
@click.option(
    "--duration",
    type=Duration(),
    help="Time to run, such as 90s; by default until Ctrl-C.",
)
@click.option(
    "--rate",
    type=FiniteRange(min=0, max=10_000, min_open=True),
    default=20.0,
    show_default=True,
    help="Events to publish per second.",
)
@click.option(
    "--port",
    type=_PORT,
    default=None,
    help="Port of /metrics on 127.0.0.1; by default 9464, 0 picks a free one.",
)
@click.option(
    "--fault",
    type=click.Choice(sorted(FAULTS)),
    help="Inject a fault, so that a warning of the monitor appears and clears.",
)
@click.option(
    "--for",
    "fault_seconds",
    type=Duration(),
    help="How long the fault lasts, such as 90s or 10m; by default 15s.",
)
@click.option(
    "--transport",
    default="memory://",
    show_default=True,
    metavar="URL",
    help="URL of the transport, for example redis://localhost:6379/0.",
)
def demo_command(
    duration: float | None,
    rate: float,
    port: int | None,
    fault: str | None,
    fault_seconds: float | None,
    transport: str,
) -> int:
    """Run a sample shop service with steady traffic and a live summary.

    \b
    Examples:
      evmon demo
      evmon demo --duration 60 --fault retries
      evmon demo --fault memory --for 10m
      evmon demo --transport redis://localhost:6379/0
    """
    if port is not None:
        os.environ["EVMON_METRICS_PORT"] = str(port)
    if fault_seconds is None:
        fault_seconds = DEFAULT_SECONDS
    elif fault is None:
        raise click.UsageError("--for needs --fault")
    return asyncio.run(run_demo(duration, rate, fault, transport, fault_seconds))


@cli.command("run")
@click.argument("target", metavar="MODULE:BUS")
@click.option("--metrics-host", help="Address of /metrics; by default 127.0.0.1.")
@click.option(
    "--metrics-port",
    type=_PORT,
    help="Port of /metrics; by default 9464, 0 picks a free one.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Minimum level to log on stderr; debug shows where an import failed.",
)
def run_command(
    target: str, metrics_host: str | None, metrics_port: int | None, log_level: str
) -> int:
    """Run the bus BUS of module MODULE until SIGINT or SIGTERM.

    Exits with 0 once it has drained, with 75 if a handler did not end within the drain
    timeout and a few seconds, and with 128 + number of the signal on a second one.

    \b
    Examples:
      evmon run shop.app:bus
      evmon run shop.app:bus --metrics-host 0.0.0.0 --metrics-port 9000
    """
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    # Set the environment, so that precedence is decided in one place.
    if metrics_host is not None:
        os.environ["EVMON_METRICS_HOST"] = metrics_host
    if metrics_port is not None:
        os.environ["EVMON_METRICS_PORT"] = str(metrics_port)
    load_bus(target).run()
    return 0


@cli.command("handlers")
@click.argument("target", metavar="MODULE:BUS")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def handlers_command(target: str, *, as_json: bool) -> int:
    """List the handlers that would be discovered, without starting the bus.

    Exits with 1 if a provider cannot be scanned.

    \b
    Examples:
      evmon handlers shop.app:bus
      evmon handlers shop.app:bus --json
    """
    bus = load_bus(target)
    with failures_left_out_of_log():
        handlers, discovery = asyncio.run(bus.preview())
    if as_json:
        found = [
            {
                "pattern": handler.pattern,
                "handler": handler.key,
                "kind": "async" if handler.is_async else "sync",
                "takes_many": handler.call_many is not None,
                "max_retries": handler.retry.max_retries if handler.retry else None,
            }
            for handler in handlers
        ]
        failed = [
            {"provider": failure.provider, "error": one_line(failure.error)}
            for failure in discovery.failures
        ]
        click.echo(json.dumps({"handlers": found, "failures": failed}, indent=2))
    else:
        console().print(handlers_table(handlers))
        for failure in discovery.failures:
            echo_error(f"{failure.provider}: {one_line(failure.error)}{failure.line}")
    return 1 if discovery.failures else 0


@cli.command("check")
@click.argument("url", default=DEFAULT_URL)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--timeout",
    type=FiniteRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Seconds to wait for the service.",
)
@click.option(
    "--redis",
    metavar="URL",
    help="Check a Redis server instead: permissions of the user, and durability.",
)
@click.option(
    "--service",
    envvar="EVMON_SERVICE",
    default="evmon",
    show_default=True,
    help="Name of the service, for --redis.",
)
def check_command(
    url: str, timeout: float, redis: str | None, service: str, *, as_json: bool
) -> int:
    """Check a running service: summary, warnings and recommendations.

    Exits with 0 if there is no problem, 1 if there is one (a breached limit, not ready,
    failed discovery, dead letters), 2 if the service cannot be reached.

    \b
    Examples:
      evmon check
      evmon check http://127.0.0.1:9000/metrics --json
      evmon check --redis redis://app@127.0.0.1:6379/0 --service shop
    """
    if redis is not None:
        return check_redis(redis, service, as_json=as_json)
    return check(url, timeout, as_json=as_json)


def _lacks_command(error: click.UsageError) -> bool:
    """Whether a group was called without a command; click before 8.2 prints help."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _fail(message: str, code: int) -> int:
    echo_error(message)
    return code
