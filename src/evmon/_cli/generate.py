"""``evmon rules`` and ``evmon dashboards``: alerting and Grafana with your own limits."""

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
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME",
    help="Label that tells services of one job name apart; may be repeated.",
)
def rules_command(
    settings: tuple[str, ...],
    form: str,
    runbooks: str | None,
    grafana: str | None,
    labels: tuple[str, ...],
) -> None:
    """Print the recording and alert rules.

    \b
    Examples:
      evmon rules > evmon-rules.yaml
      evmon rules --set memory_warning=512MB --set retries_warning=50
      evmon rules --format operator --label namespace | kubectl apply -f -
    """
    from evmon._alerting import rules_file as rules
    from evmon._alerting.limits import with_settings

    options = rules.RuleOptions(
        runbooks=runbooks or rules.RUNBOOKS,
        grafana=grafana or rules.GRAFANA,
        labels=labels,
    )
    limits = with_settings(settings)
    chosen: rules.Format = "operator" if form == "operator" else "prometheus"
    click.echo(rules.rules(limits, options, chosen), nl=False)


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
def dashboards_command(
    settings: tuple[str, ...], form: str, out: Path, runbooks: str | None
) -> None:
    """Write the Grafana dashboards.

    \b
    Examples:
      evmon dashboards
      evmon dashboards --set memory_warning=512MB --out grafana/
      evmon dashboards --format configmap --out k8s/
    """
    from evmon._alerting import rules_file as rules
    from evmon._alerting.dashboards.boards import boards
    from evmon._alerting.limits import with_settings

    try:
        from evmon._alerting.dashboards import grafana as dashboards
    except ImportError as error:
        raise click.ClickException(_NO_SDK) from error

    chosen: dashboards.Format = "configmap" if form == "configmap" else "json"
    suffix = "yaml" if chosen == "configmap" else "json"
    shown = boards(with_settings(settings))
    try:
        out.mkdir(parents=True, exist_ok=True)
        for board in shown:
            path = out / f"{board.uid}.{suffix}"
            text = dashboards.render(board, chosen, runbooks or rules.RUNBOOKS)
            path.write_text(text, "utf-8")
            click.echo(path)
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or out}: {error.strerror}: choose another --out"
        ) from error
