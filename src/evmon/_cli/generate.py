"""``evmon rules``, ``evmon dashboards`` and ``evmon alertmanager``."""

from pathlib import Path
from typing import Final

import click

LIMIT_OPTION: Final = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="LIMIT=VALUE",
    help="Change a limit, for example memory_warning=512MB; may be repeated.",
)
_RUNBOOKS: Final = click.option(
    "--runbooks", metavar="URL", help="Address of the folder of runbooks."
)
_LABELS: Final = click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME",
    help="Label that tells services of one job name apart; may be repeated.",
)
_NO_SDK: Final = (
    "dashboards are built with grafana-foundation-sdk, which needs Python 3.11 or newer;"
    " those with the default limits are in the source's dashboards/"
)


@click.command("rules")
@LIMIT_OPTION
@click.option(
    "--format",
    "form",
    type=click.Choice(["prometheus", "operator"]),
    default="prometheus",
    show_default=True,
    help="A rules file, or a PrometheusRule for prometheus-operator.",
)
@_RUNBOOKS
@click.option("--grafana", metavar="URL", help="Address of Grafana.")
@_LABELS
@click.option(
    "--without",
    multiple=True,
    metavar="ALERT",
    help="Alert to leave out, for example EvmonServiceAbsent; may be repeated.",
)
def rules_command(
    settings: tuple[str, ...],
    form: str,
    runbooks: str | None,
    grafana: str | None,
    labels: tuple[str, ...],
    without: tuple[str, ...],
) -> None:
    """Print the recording and alert rules.

    \b
    Examples:
      evmon rules > evmon-rules.yaml
      evmon rules --set memory_warning=512MB --set retries_warning=50
      evmon rules --format operator --label namespace | kubectl apply -f -
      evmon rules --without EvmonServiceAbsent > evmon-rules.yaml
    """
    from evmon._alerting.limits import with_settings
    from evmon._alerting.output import GRAFANA_URL, RUNBOOKS_URL
    from evmon._alerting.rules_file import Format, RuleOptions, rules

    options = RuleOptions(
        runbooks=runbooks or RUNBOOKS_URL,
        grafana=grafana or GRAFANA_URL,
        labels=labels,
        without=without,
    )
    limits = with_settings(settings)
    chosen: Format = "operator" if form == "operator" else "prometheus"
    click.echo(rules(limits, options, chosen), nl=False)


@click.command("alertmanager")
@click.option(
    "--format",
    "form",
    type=click.Choice(["route", "config", "operator"]),
    default="route",
    show_default=True,
    help="Parts to paste into an existing configuration, a whole configuration, or an"
    " AlertmanagerConfig for prometheus-operator.",
)
@_LABELS
def alertmanager_command(form: str, labels: tuple[str, ...]) -> None:
    """Print a route, inhibition rules and receivers for Alertmanager.

    \b
    Examples:
      evmon alertmanager
      evmon alertmanager --format config > alertmanager.yaml
      evmon alertmanager --format operator --label namespace | kubectl apply -f -
    """
    from evmon._alerting.alertmanager import Format, alertmanager

    forms: dict[str, Format] = {"config": "config", "operator": "operator"}
    click.echo(alertmanager(forms.get(form, "route"), labels), nl=False)


@click.command("dashboards")
@LIMIT_OPTION
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "configmap"]),
    default="json",
    show_default=True,
    help="JSON to import, or ConfigMaps for Grafana's sidecar.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("dashboards"),
    show_default=True,
    help="Folder to write to; made if it is not there.",
)
@_RUNBOOKS
@_LABELS
def dashboards_command(
    settings: tuple[str, ...],
    form: str,
    out: Path,
    runbooks: str | None,
    labels: tuple[str, ...],
) -> None:
    """Write the Grafana dashboards.

    \b
    Examples:
      evmon dashboards
      evmon dashboards --set memory_warning=512MB --out grafana/
      evmon dashboards --format configmap --out k8s/ --label namespace
    """
    from evmon._alerting.dashboards.boards import boards
    from evmon._alerting.limits import with_settings
    from evmon._alerting.output import RUNBOOKS_URL

    try:
        from evmon._alerting.dashboards.grafana import Format, render
    except ImportError as error:
        raise click.ClickException(_NO_SDK) from error

    chosen: Format = "configmap" if form == "configmap" else "json"
    suffix = "yaml" if chosen == "configmap" else "json"
    dashboards = boards(with_settings(settings))
    try:
        out.mkdir(parents=True, exist_ok=True)
        for board in dashboards:
            path = out / f"{board.uid}.{suffix}"
            text = render(board, chosen, runbooks or RUNBOOKS_URL, labels)
            path.write_text(text, "utf-8")
            click.echo(path)
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or out}: {error.strerror}: choose another --out"
        ) from error
