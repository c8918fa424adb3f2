"""``evmon runbook``: prints a runbook."""

from pathlib import Path

import click

import evmon
from evmon.errors import ConfigError


def runbooks() -> dict[str, Path]:
    """The file of each runbook, by the name of its alert."""
    package = Path(evmon.__file__).parent
    installed, source = package / "_runbooks", package.parents[1] / "docs/runbooks"
    folder = installed if installed.is_dir() else source
    return {path.stem: path for path in sorted(folder.glob("Evmon*.md"))}


@click.command("runbook")
@click.argument("name", metavar="[ALERT]", required=False)
def runbook_command(name: str | None) -> None:
    """Print the runbook of an alert; without a name, list the alerts.

    \b
    Examples:
      evmon runbook
      evmon runbook EvmonMemoryHigh
    """
    known = runbooks()
    if name is None:
        click.echo("\n".join(known))
    elif name in known:
        click.echo(known[name].read_text("utf-8"), nl=False)
    else:
        raise ConfigError(f"no runbook {name!r:.200}; 'evmon runbook' lists the alerts")
