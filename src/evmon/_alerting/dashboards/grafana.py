"""Renders dashboards as Grafana's JSON, with Grafana's own SDK."""

import json
from collections.abc import Iterator, Sequence
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

from evmon._alerting.dashboards.panels import (
    PLACE_LABELS,
    PROCESS,
    TARGET,
    Board,
    Limit,
    Panel,
    Query,
)
from evmon._alerting.labels import add_labels, check_labels
from evmon._alerting.output import RUNBOOKS_URL, to_yaml
from evmon._alerting.promql import BUS, DESTINATION, GROUP, series
from evmon._telemetry import instruments as i

Format = Literal["json", "configmap"]
_DATA_SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_DEFAULT_HEIGHT: Final = 8
_HEIGHTS: Final = {"alertlist": 7, "stat": 4}
_HANDLERS: Final = series(i.DISCOVERY_HANDLERS)
_ANNOTATION_FORMATS: Final = {
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
"""Title, text and tags of each annotation query; the SDK has no methods for them."""

_ALERT_LIST: Final = {
    "viewMode": "list",
    "groupMode": "default",
    "maxItems": 20,
    "sortOrder": 1,
    "alertName": "Evmon",
    # `:regex` formats several selected services as one regular expression.
    "alertInstanceLabelFilter": '{job=~"${job:regex}"}',
    "stateFilter": {"firing": True, "pending": True},
}


def render(
    board: Board,
    form: Format = "json",
    runbooks: str = RUNBOOKS_URL,
    labels: tuple[str, ...] = (),
) -> str:
    """Return a dashboard as JSON, or as a ConfigMap with that JSON.

    Args:
        board: dashboard to render.
        form: ``json`` to import, or ``configmap`` for the sidecar of Grafana's Helm chart.
        runbooks: URL of the directory of runbooks.
        labels: names of labels that separate services with the same job name; each is
            a variable and in the legends.

    Raises:
        ConfigError: a label cannot be added.
    """
    check_labels(labels)
    built = _build(board, runbooks, labels)
    encoded = JSONEncoder(sort_keys=True, indent=2).encode(built)
    # The SDK omits an unset id; Grafana chooses one if it is null.
    document: dict[str, Any] = {"id": None, **json.loads(encoded)}
    _adjust(document)
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


def _adjust(document: dict[str, Any]) -> None:
    """Remove fields that the SDK sets by default, and add those it has no method for."""
    for variable in document["templating"]["list"]:
        # The id is the same for all variables; the others belong to interval variables.
        for key in ("id", "auto", "auto_count", "auto_min"):
            variable.pop(key, None)
    for annotation in document["annotations"]["list"]:
        annotation.update(_ANNOTATION_FORMATS[annotation["name"]])


def _build(board: Board, runbooks: str, labels: tuple[str, ...]) -> model.Dashboard:
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
    )
    for link in _links(runbooks):
        built.link(link)
    for variable in _variables(board, labels):
        built.with_variable(variable)
    for annotation in _annotations(labels):
        built.annotation(annotation)
    for row_id, row, panels in board.numbered_rows():
        built.with_row(dashboard.Row(row.title).id(row_id))
        for panel_id, panel in panels:
            built.with_panel(_panel(panel, panel_id, labels))
    return built.build()


def _links(runbooks: str) -> Iterator[Any]:
    yield (
        dashboard.DashboardLink("evmon")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags(["evmon"])
        .keep_time(True)
        .include_vars(True)
    )
    yield (
        dashboard.DashboardLink("Runbooks")
        .type(model.DashboardLinkType.LINK)
        .url(runbooks)
        .target_blank(True)
    )


def _variables(board: Board, labels: tuple[str, ...]) -> Iterator[Any]:
    yield (
        dashboard.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
    )
    chosen: list[str] = []
    names = {name: name.capitalize() for name in (*PLACE_LABELS, *labels)}
    for name, title in (names | {"job": "Service", "instance": "Instance"}).items():
        # A series may lack the label; every one has `job` and `instance`.
        anything = ".*" if name in names else ".+"
        metric = f"{_HANDLERS}{{{','.join(chosen)}}}" if chosen else _HANDLERS
        yield _variable(name, title, metric, name, anything)
        chosen.append(f'{name}=~"${name}"')
    buses = f"{_HANDLERS}{{{','.join(chosen)}}}"
    yield _variable("bus", "Bus", buses, BUS, anything=".*")
    if board.has_groups:
        consumed = _select(series(i.CONSUMED_MESSAGES, PROCESS), labels)
        yield _variable("destination", "Destination", consumed, DESTINATION)
        yield _variable("group", "Group", consumed, GROUP)


def _variable(
    name: str, title: str, metric: str, label: str, anything: str = ".+"
) -> Any:
    return (
        dashboard.QueryVariable(name)
        .label(title)
        .datasource(_DATA_SOURCE)
        .query(f"label_values({metric}, {label})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(anything)
        .current(model.VariableOption(text="All", value="$__all", selected=True))
    )


def _annotations(labels: tuple[str, ...]) -> Sequence[Any]:
    process, target = _select(PROCESS, labels), _select(TARGET, labels)
    info = f'target_info{{{target},service_version!=""}}'
    versions = f"group by (job, service_version) ({info})"
    before = f"group by (job, service_version) ({info} offset $__rate_interval)"
    uptime = f"evmon_uptime_seconds{{{process}}}"
    return (
        dashboard.AnnotationQuery()
        .name("Restarts")
        .datasource(_DATA_SOURCE)
        .enable(True)
        .icon_color("orange")
        .expr(f"resets({uptime}[$__rate_interval]) > 0"),
        dashboard.AnnotationQuery()
        .name("Deploys")
        .datasource(_DATA_SOURCE)
        .enable(True)
        .icon_color("blue")
        .expr(f"{versions} unless {before}"),
    )


def _panel(panel: Panel, panel_id: int, labels: tuple[str, ...]) -> Any:
    if panel.kind == "alertlist":
        built: Any = dashboard.Panel().type("alertlist").options(_ALERT_LIST)
    else:
        built = _visual(panel)
        for ref, query in zip("ABCDEF", panel.queries, strict=False):
            built.with_target(_target(panel, query, ref, labels))
        built.unit(panel.unit)
        built.mappings([_text(*shown) for shown in panel.texts.items()])
    if panel.minimum is not None and panel.kind in ("timeseries", "stat"):
        built.min(panel.minimum)
    if panel.no_value:
        built.no_value(panel.no_value)
    return (
        built.id(panel_id)
        .title(panel.title)
        .description(panel.description)
        .datasource(_DATA_SOURCE)
        .span(panel.width)
        .height(panel.height or _HEIGHTS.get(panel.kind, _DEFAULT_HEIGHT))
    )


def _visual(panel: Panel) -> Any:
    if panel.kind == "stat":
        return (
            stat.Panel()
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .color_mode(common_model.BigValueColorMode.VALUE)
            .graph_mode(common_model.BigValueGraphMode.NONE)
            .thresholds(_thresholds(panel.limits, below=panel.below))
        )
    if panel.kind == "heatmap":
        return _heatmap(panel)
    if panel.kind == "table":
        return table.Panel().show_header(True)
    return _timeseries(panel)


def _heatmap(panel: Panel) -> Any:
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


def _timeseries(panel: Panel) -> Any:
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
    """Return the colour steps: green first, or green last if low values are bad."""
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


def _text(value: float, text: str) -> Any:
    """Return the mapping of all values from a number on to a text."""
    result = model.ValueMappingResult(text=text, color="red")
    return model.RangeMap(
        options=model.DashboardRangeMapOptions(from_val=value, result=result)
    )


def _select(expr: str, labels: tuple[str, ...]) -> str:
    """Add labels to the groupings and selectors of an expression."""
    more = (label for label in labels if label not in PLACE_LABELS)
    selectors = "".join(f'{label}=~"${label}",' for label in more)
    return add_labels(expr, labels).replace('job=~"$job"', f'{selectors}job=~"$job"')


def _target(panel: Panel, query: Query, ref: str, labels: tuple[str, ...]) -> Any:
    expr = _select(query.expr, labels)
    target = prometheus.Dataquery().expr(expr).ref_id(ref).datasource(_DATA_SOURCE)
    if query.legend:
        prefix = "".join(f"{{{{{label}}}}} " for label in labels)
        target.legend_format(query.legend.replace("{{job}}", f"{prefix}{{{{job}}}}"))
    if panel.kind == "heatmap":
        return target.range().format(prometheus_model.PromQueryFormat.HEATMAP)
    if panel.kind == "table":
        return target.instant().format(prometheus_model.PromQueryFormat.TABLE)
    # The last value of a range would be shown long after its process ended.
    return target.instant() if panel.kind == "stat" else target.range()
