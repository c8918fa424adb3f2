"""``evmon dlq``: list, show, replay and purge dead letters."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from evmon._cli.options import FiniteRange
from evmon._cli.output import console
from evmon._handlers.registry import matches
from evmon._settings.configs import RedisConfig
from evmon._settings.environment import environment, resolve
from evmon._transports import scheme_of
from evmon.errors import DEAD_LETTER_REASONS, ConfigError

if TYPE_CHECKING:
    from evmon._transports.redis.dead_letters import (
        DeadLetterQueue,
        StoredDeadLetter,
    )

T = TypeVar("T")
Command: TypeAlias = "Callable[..., Any]"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters to select.

    Attributes:
        event_type: type or pattern; None selects all.
        reason: None selects all.
        limit: maximum number; None selects all.
        ids: ids of dead letters; empty selects all.
    """

    event_type: str | None
    reason: str | None
    limit: int | None = None
    ids: tuple[str, ...] = ()

    async def of(self, queue: "DeadLetterQueue") -> "AsyncIterator[StoredDeadLetter]":
        """The selected dead letters, oldest first."""
        left = -1 if self.limit is None else self.limit
        async for letter in self._named(queue) if self.ids else queue.letters():
            if not left:
                return
            if self._means(letter):
                left -= 1
                yield letter

    async def _named(
        self, queue: "DeadLetterQueue"
    ) -> "AsyncIterator[StoredDeadLetter]":
        for letter_id in self.ids:
            letter = await queue.letter(letter_id)
            if letter is None:
                click.echo(f"evmon: no dead letter {_plain(letter_id)}", err=True)
            else:
                yield letter

    def _means(self, letter: "StoredDeadLetter") -> bool:
        if self.reason is not None and letter.reason != self.reason:
            return False
        return self.event_type is None or (
            bool(letter.event_type) and matches(self.event_type, letter.event_type)
        )


def _where(command: Command) -> Command:
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


def _which(command: Command) -> Command:
    """The options that filter them."""
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
@_where
@_which
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
    event_type: str | None,
    reason: str | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List dead letters.

    \b
    Examples:
      evmon dlq list --service shop
      evmon dlq list --service shop --reason handler_error --json
    """

    async def run(queue: "DeadLetterQueue") -> "list[StoredDeadLetter]":
        choice = Choice(event_type, reason, limit)
        return [letter async for letter in choice.of(queue)]

    letters = _with_queue(transport, service, run)
    if as_json:
        click.echo(json.dumps([_summary(letter) for letter in letters], indent=2))
        return
    console().print(_table(letters))


@dlq.command("show")
@click.argument("letter_id", metavar="ID")
@_where
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_command(letter_id: str, transport: str, service: str, *, as_json: bool) -> int:
    """Show one dead letter with its payload. Exits with 1 if it does not exist.

    \b
    Examples:
      evmon dlq show 1700000000000-0 --service shop
    """
    letter = _with_queue(transport, service, lambda queue: queue.letter(letter_id))
    if letter is None:
        click.echo(f"evmon: no dead letter {_plain(letter_id)} of {service}", err=True)
        return 1
    payload = letter.raw.decode(errors="backslashreplace")
    if as_json:
        click.echo(json.dumps({**_summary(letter), "event": payload}, indent=2))
        return 0
    for name, value in _facts(letter).items():
        line = ", ".join(value.split("\n"))
        click.echo(f"{_plain(name):<16} {_plain(line)}")
    click.echo(f"{'event':<16} {_plain(payload)}")
    return 0


@dlq.command("replay")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@_where
@_which
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
    event_type: str | None,
    reason: str | None,
    rate: float,
    limit: int | None,
    *,
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
    choice = Choice(event_type, reason, limit, letter_ids)

    async def run(queue: "DeadLetterQueue") -> tuple[int, int]:
        count = stuck = 0
        with _progress("replayed") as advance:
            async for letter in choice.of(queue):
                if not letter.can_be_replayed:
                    stuck += 1
                elif dry_run:
                    count += 1
                elif await queue.replay(letter):
                    count += 1
                    advance()
                    await asyncio.sleep(1 / rate)
        return count, stuck

    count, stuck = _with_queue(transport, service, run)
    click.echo(f"{count} dead letters {'would be ' if dry_run else ''}replayed")
    if stuck:
        click.echo(f"evmon: {stuck} have too many fields to be replayed", err=True)
    return 1 if stuck or count < len(letter_ids) else 0


@dlq.command("purge")
@_where
@_which
@click.option("--dry-run", is_flag=True, help="Only count what would be purged.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def purge_command(
    transport: str,
    service: str,
    event_type: str | None,
    reason: str | None,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """Delete dead letters permanently.

    \b
    Examples:
      evmon dlq purge --service shop --reason rejected --yes
    """
    choice = Choice(event_type, reason)

    async def find(queue: "DeadLetterQueue") -> list[str]:
        return [letter.id async for letter in choice.of(queue)]

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
    run: "Callable[[DeadLetterQueue], Coroutine[Any, Any, T]]",
) -> T:
    # Imported here, so that the Redis client is only loaded when used.
    from evmon._transports.redis.address import SCHEMES
    from evmon._transports.redis.dead_letters import DeadLetterQueue

    scheme = scheme_of(url)
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise ConfigError(f"--transport {scheme}://…: must be one of {known}")
    config = resolve(RedisConfig, RedisConfig(), environment())

    async def main() -> T:
        queue = DeadLetterQueue(url, service, config)
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
def _progress(done: str) -> Iterator[Callable[[], None]]:
    """Show progress on a terminal."""
    out = Console(stderr=True)
    columns = (TextColumn(f"{{task.completed}} {done}"), TimeElapsedColumn())
    with Progress(
        *columns, console=out, transient=True, disable=not out.is_terminal
    ) as progress:
        task = progress.add_task(done, total=None)
        yield lambda: progress.advance(task)


def _facts(letter: "StoredDeadLetter") -> dict[str, str]:
    """The recorded facts; `id` is that of the dead letter, `entry_id` of its entry."""
    facts = {"id": letter.id, **letter.facts}
    return {**facts, "id": letter.id, "entry_id": letter.facts.get("id", "")}


def _summary(letter: "StoredDeadLetter") -> dict[str, Any]:
    facts: dict[str, Any] = dict(_facts(letter))
    facts["handlers"] = [name for name in facts.get("handlers", "").split("\n") if name]
    return facts


def _table(letters: "list[StoredDeadLetter]") -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("ID", "DEAD SINCE (UTC)", "REASON", "TYPE", "ATTEMPTS", "ERROR"):
        table.add_column(heading, overflow="fold")
    for letter in letters:
        facts = letter.facts
        cells = (
            letter.id,
            facts.get("dead_at", "")[:19],
            letter.reason,
            letter.event_type,
            facts.get("attempts", ""),
            facts.get("error_message", ""),
        )
        table.add_row(*(Text(_plain(cell)) for cell in cells))
    return table


def _plain(text: str) -> str:
    """Untrusted text without terminal control characters."""
    return "".join(c if c.isprintable() else "?" for c in text)
