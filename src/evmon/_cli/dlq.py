"""``evmon dlq``: list, show, replay and purge dead letters."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from textwrap import indent
from typing import Any, Final, TypeAlias, TypeVar

import click
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from evmon._cli.dead_letters import (
    LetterLines,
    Replayed,
    Selection,
    check_id,
    letter_as_json,
    raw_fields,
    recorded_facts,
)
from evmon._cli.options import FiniteRange
from evmon._cli.output import echo_error
from evmon._settings.environment import environment
from evmon._text import printable
from evmon._transports import open_dead_letters
from evmon._transports.dead_letters import DeadLetters, StoredDeadLetter
from evmon.errors import DEAD_LETTER_REASONS, ConfigError

PAGE: Final = 100
"""Dead letters printed or replayed at once."""

PAGE_SECONDS: Final = 0.1
"""Seconds between two pages of a replay at a lower rate."""

T = TypeVar("T")
Command: TypeAlias = "Callable[..., Any]"


def _location_options(command: Command) -> Command:
    """The options that locate the dead letters."""
    for option in (
        click.option(
            "--service",
            envvar="EVMON_SERVICE",
            default="evmon",
            show_default=True,
            help="Name of the service.",
        ),
        click.option(
            "--transport",
            envvar="EVMON_TRANSPORT",
            default="redis://localhost:6379/0",
            show_default=True,
            help="URL of the transport.",
        ),
    ):
        command = option(command)
    return command


def _filter_options(command: Command) -> Command:
    """The options that filter the dead letters."""
    for option in (
        click.option(
            "--reason",
            type=click.Choice(DEAD_LETTER_REASONS),
            help="Only events dead-lettered for this reason.",
        ),
        click.option(
            "--type",
            "event_type",
            metavar="TYPE",
            help="Only events of this type or pattern, such as order.*.",
        ),
        click.option(
            "--group",
            help="Only events dead-lettered by this consumer group.  [default: all]",
        ),
    ):
        command = option(command)
    return command


@click.group()
def dlq() -> None:
    """List, show, replay and purge dead letters.

    \b
    Examples:
      evmon dlq list --service shop
      evmon dlq show 1700000000000-0 --service shop
      evmon dlq replay --service shop --type 'order.*' --rate 50
      evmon dlq purge --service shop --reason unknown_type --yes
    """


@dlq.command("list")
@_location_options
@_filter_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Maximum number to list, oldest first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(
    transport: str,
    service: str,
    *,
    event_type: str | None,
    reason: str | None,
    group: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List dead letters.

    \b
    Examples:
      evmon dlq list --service shop
      evmon dlq list --service shop --reason handler_error --json
    """
    selection = Selection(event_type, reason, limit, group=group)
    show = _print_json if as_json else _print_lines
    _with_queue(transport, service, lambda queue: show(selection.select(queue)))


async def _print_json(letters: AsyncIterator[StoredDeadLetter]) -> None:
    """Print dead letters as a JSON array while they are read."""
    empty = True
    async for letter in letters:
        text = indent(json.dumps(letter_as_json(letter), indent=2), "  ")
        click.echo("[\n" if empty else ",\n", nl=False)
        click.echo(text, nl=False)
        empty = False
    click.echo("[]" if empty else "\n]")


async def _print_lines(letters: AsyncIterator[StoredDeadLetter]) -> None:
    """Print dead letters as a table while they are read."""
    lines: LetterLines | None = None
    page: list[StoredDeadLetter] = []
    async for letter in letters:
        page.append(letter)
        if len(page) == PAGE:
            lines = _print_page(page, lines)
            page = []
    if page or lines is None:
        _print_page(page, lines)


def _print_page(
    page: Sequence[StoredDeadLetter], lines: LetterLines | None
) -> LetterLines:
    """Print some lines, and before the first of all the heading."""
    heading = []
    if lines is None:
        lines = LetterLines(page)
        heading = [lines.heading]
    click.echo("\n".join([*heading, *map(lines.line, page)]))
    return lines


@dlq.command("show")
@click.argument("letter_id", metavar="ID")
@_location_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--raw", is_flag=True, help="Print every field as it is stored.")
def show_command(
    letter_id: str, transport: str, service: str, *, as_json: bool, raw: bool
) -> int:
    """Show one dead letter with its payload. Exits with 1 if it does not exist.

    \b
    Examples:
      evmon dlq show 1700000000000-0 --service shop
      evmon dlq show 1700000000000-0 --service shop --raw
    """
    check_id(letter_id)
    letter = _with_queue(transport, service, lambda queue: queue.letter(letter_id))
    if letter is None:
        echo_error(f"no dead letter {letter_id} of {service}")
        return 1
    if raw:
        click.echo("\n".join(raw_fields(letter)))
        return 0
    payload = letter.raw.decode(errors="backslashreplace")
    if as_json:
        click.echo(json.dumps({**letter_as_json(letter), "event": payload}, indent=2))
        return 0
    for name, value in recorded_facts(letter).items():
        line = ", ".join(value.split("\n"))
        click.echo(f"{printable(name):<16} {printable(line)}")
    click.echo(f"{'event':<16} {printable(payload)}")
    return 0


@dlq.command("replay")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@_location_options
@_filter_options
@click.option(
    "--rate",
    type=FiniteRange(min=0, min_open=True),
    default=100.0,
    show_default=True,
    help="Maximum number of events per second.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Maximum number to replay.")
@click.option("--dry-run", is_flag=True, help="Only count what would be replayed.")
def replay_command(
    letter_ids: tuple[str, ...],
    transport: str,
    service: str,
    *,
    event_type: str | None,
    reason: str | None,
    group: str | None,
    rate: float,
    limit: int | None,
    dry_run: bool,
) -> int:
    """Put dead letters back into their stream, for the handlers that failed.

    Without an ID, replays all that match. Exits with 1 if some were not replayed.

    \b
    Examples:
      evmon dlq replay 1700000000000-0 --service shop
      evmon dlq replay --service shop --reason handler_error --dry-run
      evmon dlq replay --service shop --type 'order.*' --rate 50
    """
    selection = Selection(event_type, reason, limit, letter_ids, group)

    async def run(queue: DeadLetters) -> Replayed:
        done = Replayed()
        with _progress("replayed") as advance:
            page: list[StoredDeadLetter] = []

            async def replay_page() -> None:
                advance(await done.replay(queue, page))
                await asyncio.sleep(len(page) / rate)
                page.clear()

            async for letter in selection.select(queue):
                if not letter.can_be_replayed:
                    done.too_large += 1
                elif dry_run:
                    done.count += 1
                else:
                    page.append(letter)
                    if len(page) >= min(PAGE, rate * PAGE_SECONDS):
                        await replay_page()
            if page:
                await replay_page()
        return done

    done = _with_queue(transport, service, run)
    click.echo(f"{done.count} dead letters {'would be ' if dry_run else ''}replayed")
    for problem in done.problems:
        echo_error(problem)
    return 1 if done.problems or done.count < len(letter_ids) else 0


@dlq.command("purge")
@_location_options
@_filter_options
@click.option("--dry-run", is_flag=True, help="Only count what would be purged.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def purge_command(
    transport: str,
    service: str,
    *,
    event_type: str | None,
    reason: str | None,
    group: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Delete dead letters permanently.

    \b
    Examples:
      evmon dlq purge --service shop --reason rejected --yes
      evmon dlq purge --service shop --group billing
    """
    selection = Selection(event_type, reason, group=group)

    async def find(queue: DeadLetters) -> list[str]:
        return [letter.id async for letter in selection.select(queue)]

    # Delete only what was counted, not what arrives while the user decides.
    ids = _with_queue(transport, service, find)
    if dry_run:
        click.echo(f"{len(ids)} dead letters would be purged")
        return
    if not yes:
        click.confirm(f"Delete {len(ids)} dead letters of {service}?", abort=True)
    purged = _with_queue(transport, service, lambda queue: queue.purge(ids))
    click.echo(f"{purged} dead letters purged")


def _with_queue(
    url: str,
    service: str,
    run: Callable[[DeadLetters], Coroutine[Any, Any, T]],
) -> T:
    async def main() -> T:
        queue = open_dead_letters(url, service, environment())
        try:
            if not await queue.exists():
                raise ConfigError(
                    f"no stream or dead letters for service {service!r} here; check --service"
                )
            return await run(queue)
        finally:
            await queue.close()

    return asyncio.run(main())


@contextmanager
def _progress(done: str) -> Iterator[Callable[[int], None]]:
    """Show progress on a terminal."""
    out = Console(stderr=True)
    columns = (TextColumn(f"{{task.completed}} {done}"), TimeElapsedColumn())
    with Progress(
        *columns, console=out, transient=True, disable=not out.is_terminal
    ) as progress:
        task = progress.add_task(done, total=None)
        yield lambda count: progress.advance(task, count)
