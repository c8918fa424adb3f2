"""Dashboards as Grafana imports them, built with Grafana's own SDK."""

import json
from collections.abc import Sequence
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models import prometheus as prometheus_model

from evmon._alerting.dashboards.panels import PROCESS, Board, Limit, Panel
from evmon._alerting.promql import DESTINATION, GROUP, series
from evmon._alerting.rules_file import RUNBOOKS, to_yaml
from evmon._telemetry import instruments as i

Format = Literal["json", "configmap"]
_SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_HEIGHT: Final = 8
_STAT_HEIGHT: Final = 4
_TALL: Final = {"alertlist": 7, "stat": _STAT_HEIGHT}
_HANDLERS: Final = series(i.DISCOVERY_HANDLERS)
_ALL: Final = ".+"
_NOTES: Final = {
    "Restarts": {
        "titleFormat": "Restart",
        "textFormat": "{{job}} {{instance}}",
        "tagKeys": "job,instance",
    },
    "Deploys": {
        "titleFormat": "Deploy of {{service_version}}",
        "textFormat": "{{job}} {{service_version}}",
        "tagKeys": "job,service_version",
    },
}
"""How each annotation is shown."""

_ALERT_LIST: Final = {
    "viewMode": "list",
    "groupMode": "default",
    "maxItems": 20,
    "sortOrder": 1,
    "alertName": "Evmon",
    # Several services are a regular expression in Prometheus only.
    "alertInstanceLabelFilter": '{job=~"${job:regex}"}',
    "stateFilter": {"firing": True, "pending": True},
}


def render(board: Board, form: Format = "json", runbooks: str = RUNBOOKS) -> str:
    """A dashboard as Grafana imports it, or as its sidecar finds it.

    Args:
        board: what to show.
        form: JSON, or a ConfigMap of Kubernetes with the JSON in it.
        runbooks: address of the folder of runbooks.
    """
    encoded = JSONEncoder(sort_keys=True, indent=2).encode(_build(board, runbooks))
    # What is not set must not be said: a null id lets Grafana choose one.
    document: dict[str, Any] = {"id": None, **json.loads(encoded)}
    _tidy(document)
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if form == "json":
        return text
    return to_yaml(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": board.uid, "labels": {"grafana_dashboard": "1"}},
            "data": {f"{board.uid}.json": text},
        }
    )


def _tidy(document: dict[str, Any]) -> None:
    """Take out what the SDK sets unasked, and put in what it has no words for."""
    for variable in document["templating"]["list"]:
        # The id is the same for all; the rest is for variables that are intervals.
        for key in ("id", "auto", "auto_count", "auto_min"):
            variable.pop(key, None)
    for note in document["annotations"]["list"]:
        note.update(_NOTES[note["name"]])


def _build(board: Board, runbooks: str) -> model.Dashboard:
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["evmon"])
        .timezone("browser")
        .refresh("30s")
        .time("now-1h", "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            dashboard.DashboardLink("evmon")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags(["evmon"])
            .keep_time(True)
            .include_vars(True)
        )
        .link(
            dashboard.DashboardLink("Runbooks")
            .type(model.DashboardLinkType.LINK)
            .url(runbooks)
            .target_blank(True)
        )
        .with_variable(
            dashboard.DatasourceVariable("datasource")
            .label("Data source")
            .type("prometheus")
        )
        .with_variable(_variable("job", "Service", _HANDLERS, "job"))
        .with_variable(
            _variable("instance", "Instance", f'{_HANDLERS}{{job=~"$job"}}', "instance")
        )
    )
    if board.has_groups:
        consumed = series(i.CONSUMED_MESSAGES, PROCESS)
        built.with_variable(
            _variable("destination", "Destination", consumed, DESTINATION)
        )
        built.with_variable(_variable("group", "Group", consumed, GROUP))
    for note in _annotations():
        built.annotation(note)
    number = 0
    for row in board.rows:
        number += 1
        built.with_row(dashboard.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            built.with_panel(_panel(panel, number))
    return built.build()


def _variable(name: str, label: str, metric: str, wanted: str) -> Any:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(_SOURCE)
        .query(f"label_values({metric}, {wanted})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(_ALL)
        .current(model.VariableOption(text="All", value="$__all", selected=True))
    )


def _annotations() -> Sequence[Any]:
    info = f'target_info{{{PROCESS},service_version!=""}}'
    versions = f"group by (job, service_version) ({info})"
    before = f"group by (job, service_version) ({info} offset $__rate_interval)"
    uptime = f"evmon_uptime_seconds{{{PROCESS}}}"
    return (
        dashboard.AnnotationQuery()
        .name("Restarts")
        .datasource(_SOURCE)
        .enable(True)
        .icon_color("orange")
        .expr(f"resets({uptime}[$__rate_interval]) > 0"),
        dashboard.AnnotationQuery()
        .name("Deploys")
        .datasource(_SOURCE)
        .enable(True)
        .icon_color("blue")
        .expr(f"{versions} unless {before}"),
    )


def _panel(panel: Panel, number: int) -> Any:
    if panel.kind == "alertlist":
        built: Any = dashboard.Panel().type("alertlist").options(_ALERT_LIST)
    else:
        built = _visual(panel)
        for ref, query in zip("ABCDEF", panel.queries, strict=False):
            built.with_target(_target(panel, query.expr, query.legend, ref))
        built.unit(panel.unit)
    if panel.minimum is not None and panel.kind in ("timeseries", "stat"):
        built.min(panel.minimum)
    if panel.no_value:
        built.no_value(panel.no_value)
    return (
        built.id(number)
        .title(panel.title)
        .description(panel.description)
        .datasource(_SOURCE)
        .span(panel.width)
        .height(_TALL.get(panel.kind, _HEIGHT))
    )


def _visual(panel: Panel) -> Any:
    if panel.kind == "stat":
        return (
            stat.Panel()
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .color_mode(common_model.BigValueColorMode.VALUE)
            .graph_mode(common_model.BigValueGraphMode.AREA)
            .thresholds(_thresholds(panel.limits, below=panel.below))
        )
    if panel.kind == "heatmap":
        return (
            heatmap.Panel()
            .calculate(False)
            .color(
                heatmap.HeatmapColorOptions()
                .mode(heatmap_model.HeatmapColorMode.SCHEME)
                .scheme("Oranges")
                .steps(64)
            )
            .show_tooltip()
            .y_axis(heatmap.YAxisConfig().unit(panel.unit))
        )
    if panel.kind == "table":
        return table.Panel().show_header(True)
    built = (
        timeseries.Panel()
        .show_points(common_model.VisibilityMode.NEVER)
        .fill_opacity(10)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(common_model.LegendDisplayMode.TABLE)
            .placement(common_model.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
    )
    if panel.limits:
        built.thresholds(_thresholds(panel.limits, below=panel.below))
        built.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(
                common_model.GraphTresholdsStyleMode.DASHED
            )
        )
    return built


def _thresholds(limits: Sequence[Limit], *, below: bool) -> Any:
    """Colours from a limit on; below it, where low is bad."""
    steps = [model.Threshold(value=None, color="green")]
    steps += [
        model.Threshold(value=limit.value, color=limit.colour) for limit in limits
    ]
    if below:
        ordered = sorted(limits, key=lambda limit: limit.value)
        colours = [*(limit.colour for limit in ordered), "green"]
        values = [None, *(limit.value for limit in ordered)]
        steps = [
            model.Threshold(value=value, color=colour)
            for value, colour in zip(values, colours, strict=True)
        ]
    mode = model.ThresholdsMode.ABSOLUTE
    return dashboard.ThresholdsConfig().mode(mode).steps(steps)


def _target(panel: Panel, expr: str, legend: str, ref: str) -> Any:
    query = prometheus.Dataquery().expr(expr).ref_id(ref).datasource(_SOURCE)
    if legend:
        query.legend_format(legend)
    if panel.kind == "heatmap":
        return query.range().format(prometheus_model.PromQueryFormat.HEATMAP)
    if panel.kind == "table":
        return query.instant().format(prometheus_model.PromQueryFormat.TABLE)
    return query.range()
