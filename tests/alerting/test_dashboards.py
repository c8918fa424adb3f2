"""The dashboards follow Grafana's dashboard-linter and load into Grafana's models."""

import json
import re

import pytest
import yaml
from grafana_foundation_sdk.models import dashboard as model

from evmon import ConfigError, Thresholds
from evmon._alerting.dashboards.boards import boards
from evmon._alerting.dashboards.grafana import render

TARGET_PANELS = ["Targets up", "Targets down", "Failed scrapes", "Processes"]
GRAFANA_UNITS = {
    # Ids from Grafana 10.1's table of units.
    *("bool_yes_no", "cps", "dateTimeFromNow", "decbytes", "ms", "ops", "percent"),
    *("s", "short"),
}


@pytest.fixture(params=["evmon-overview", "evmon-events"])
def dashboard(request, dashboards):
    return dashboards[request.param]


def _panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_the_dashboards_are_overview_and_events(dashboards):
    assert {"evmon-overview", "evmon-events"} == set(dashboards)


def test_a_dashboard_loads_into_grafanas_models(dashboard):
    loaded = model.Dashboard.from_json(dashboard)

    assert dashboard["title"] == loaded.title
    assert len(dashboard["panels"]) == len(loaded.panels)


def test_a_dashboard_can_be_imported_unchanged(dashboard):
    assert dashboard["id"] is None
    assert dashboard["uid"].startswith("evmon-")
    assert 36 >= dashboard["schemaVersion"]
    assert "__inputs" not in dashboard
    assert not dashboard["editable"]


def test_the_variables_are_data_source_place_job_and_instance(dashboard):
    variables = {v["name"]: v for v in dashboard["templating"]["list"]}

    assert "datasource" == variables["datasource"]["type"]
    assert "prometheus" == variables["datasource"]["query"]
    for name in variables.keys() - {"datasource"}:
        variable = variables[name]
        assert variable["multi"], name
        assert variable["includeAll"], name
        # Not every Prometheus adds the place, so its labels may be empty.
        anything = ".*" if name in ("cluster", "namespace", "bus") else ".+"
        assert anything == variable["allValue"]
        assert "${datasource}" == variable["datasource"]["uid"]
        assert variable["label"]
    assert {"cluster", "namespace", "job", "instance", "bus"} <= variables.keys()


def test_no_variable_has_an_id(dashboard):
    assert not [v["name"] for v in dashboard["templating"]["list"] if "id" in v]


def test_the_alert_list_is_filtered_by_all_selected_jobs(dashboards):
    (alerts,) = (
        p for p in dashboards["evmon-overview"]["panels"] if p["type"] == "alertlist"
    )

    filter_ = alerts["options"]["alertInstanceLabelFilter"]
    assert '{job=~"${job:regex}"}' == filter_


def test_a_heatmap_shows_a_tooltip(dashboard):
    heatmaps = [p for p in _panels(dashboard) if p["type"] == "heatmap"]

    assert heatmaps
    assert all(p["options"]["tooltip"]["show"] for p in heatmaps)


def test_events_has_variables_for_destination_and_group(dashboards):
    variables = dashboards["evmon-events"]["templating"]["list"]

    assert {"destination", "group"} <= {v["name"] for v in variables}


def test_every_panel_has_a_title_a_description_and_a_unit(dashboard):
    titles = [panel["title"] for panel in _panels(dashboard)]

    assert len(titles) == len(set(titles))
    for panel in _panels(dashboard):
        assert panel["title"]
        assert panel["description"].endswith((".", "wait.")), panel["title"]
        assert "${datasource}" == panel["datasource"]["uid"]
        if panel["type"] != "alertlist":
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_ids_are_unique_and_panels_do_not_overlap(dashboard):
    ids = [panel["id"] for panel in dashboard["panels"]]
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for g in (panel["gridPos"],)
        for x in range(g["x"], g["x"] + g["w"])
        for y in range(g["y"], g["y"] + g["h"])
    ]

    assert len(ids) == len(set(ids))
    assert len(cells) == len(set(cells))
    assert 24 > max(x for x, _ in cells)


def test_every_query_filters_by_place_job_and_instance(
    queries, without_variables, parse_promql
):
    for _, title, expression in queries:
        found, _ = parse_promql(without_variables(expression))
        for name, matchers in found:
            wanted = {"cluster", "namespace", "job", "instance"}
            assert wanted <= matchers.keys(), (title, name)


def test_every_range_is_the_rate_interval_except_for_targets(queries):
    for _, title, expression in queries:
        ranges = set(re.findall(r"\[(.+?)\]", expression))
        allowed = {"1d", "15m"} if title in TARGET_PANELS else {"$__rate_interval"}
        assert allowed >= ranges, title


def test_the_first_row_shows_targets_up_and_down(dashboard):
    first = [panel["title"] for panel in dashboard["panels"][1:5]]

    assert TARGET_PANELS == first


def test_a_single_value_is_of_now_not_of_a_range(dashboard):
    for panel in _panels(dashboard):
        if panel["type"] == "stat":
            assert all(t["instant"] for t in panel["targets"]), panel["title"]


def test_every_unit_is_one_of_grafana(dashboard):
    for panel in _panels(dashboard):
        if panel["type"] != "alertlist":
            assert panel["fieldConfig"]["defaults"]["unit"] in GRAFANA_UNITS


def test_a_lag_that_nobody_works_off_is_shown_as_stalled(dashboards):
    (panel,) = (
        p
        for p in _panels(dashboards["evmon-events"])
        if p["title"] == "Time to work off the lag"
    )
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]

    assert "stalled" == mapping["options"]["result"]["text"]
    assert f"or {mapping['options']['from']:.0f} *" in panel["targets"][0]["expr"]


def test_a_label_is_a_variable_and_in_selectors_groupings_and_legends():
    board = boards(Thresholds())[1]
    document = json.loads(render(board, labels=("region", "namespace")))
    names = [v["name"] for v in document["templating"]["list"]]
    lag = next(p for p in document["panels"] if p["title"] == "Lag")["targets"][0]

    assert ["cluster", "namespace", "region", "job", "instance"] == names[1:6]
    assert "by (region, namespace, job, " in lag["expr"]
    assert 'region=~"$region",job=~"$job"' in lag["expr"]
    assert 1 == lag["expr"].count("$namespace")
    assert lag["legendFormat"].startswith("{{region}} {{namespace}} {{job}}")
    expressions = [a["expr"] for a in document["annotations"]["list"]]
    assert all("$region" in expr for expr in expressions)


@pytest.mark.parametrize("label", ["job", "__name__", "a-b"])
def test_a_label_that_cannot_be_added_is_refused(label):
    with pytest.raises(ConfigError, match="--label"):
        render(boards(Thresholds())[0], labels=(label,))


def test_a_zero_is_shown_only_while_a_process_reports(queries):
    for _, title, expression in queries:
        assert "vector(" not in expression, title


def test_a_series_of_zeros_has_a_name_in_the_legend(dashboards):
    for dashboard in dashboards.values():
        for panel in _panels(dashboard):
            for target in panel.get("targets", ()):
                legend = target.get("legendFormat", "")
                if "or on () 0 *" in target["expr"]:
                    assert "{{" not in legend, panel["title"]


def test_panels_have_the_limits_as_thresholds(dashboards):
    limits = Thresholds()
    lines = {
        panel["title"]: [s["value"] for s in _steps(panel)]
        for dashboard in dashboards.values()
        for panel in _panels(dashboard)
        if panel["type"] != "alertlist"
    }

    assert [
        None,
        limits.cache_hit_rate_critical_percent,
        limits.cache_hit_rate_warning_percent,
    ] == lines["Cache hit rate"]
    assert [
        None,
        1e6 * limits.memory_warning_mb,
        1e6 * limits.memory_critical_mb,
    ] == lines["Memory"]
    assert [None, limits.processing_warning_ms] == lines["Discovery batch, average"]
    assert [None, limits.retries_warning] == lines["Retries of the worst process"]


def _steps(panel):
    defaults = panel["fieldConfig"]["defaults"]
    return defaults.get("thresholds", {"steps": []})["steps"]


def test_a_dashboard_links_to_the_other_one_and_to_the_runbooks(dashboard):
    links = {link["title"]: link for link in dashboard["links"]}

    assert ["evmon"] == links["evmon"]["tags"]
    assert links["evmon"]["keepTime"]
    assert links["evmon"]["includeVars"]
    assert "evmon" in dashboard["tags"]
    assert links["Runbooks"]["url"].endswith("/docs/runbooks")


def test_restarts_and_deploys_are_annotations(dashboard):
    found = {a["name"]: a for a in dashboard["annotations"]["list"]}

    assert "{{instance}}" in found["Restarts"]["textFormat"]
    assert "{{service_version}}" in found["Deploys"]["titleFormat"]
    # Without a version, a restart is not a deploy.
    assert 2 == found["Deploys"]["expr"].count('service_version!=""')


def test_a_config_map_contains_the_same_dashboard():
    for board in boards(Thresholds()):
        wrapped = yaml.safe_load(render(board, "configmap"))

        assert {"grafana_dashboard": "1"} == wrapped["metadata"]["labels"]
        inner = json.loads(wrapped["data"][f"{board.uid}.json"])
        assert json.loads(render(board)) == inner
